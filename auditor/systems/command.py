"""A system that is a command: a folder of scans in, a folder of label maps out.

**Conventions.** All scans of one call travel together, so a unit of the plan costs one start. Scans
are NIfTI in float32 on their own grid, one file a channel as nnU-Net names them (``scan_1_0000.nii.gz``)
or one file a scan (``scan_1.nii.gz``); scans without a spacing have pixels of 1 mm. Their names say
neither which case nor which condition they are. When the command fails on a call of several scans,
it is started once more for each of them alone, so that only the guilty one fails; after two crashes or
time-outs on one unit what is left of it is quarantined.

A command runs with all the rights of the user, outside the sandbox; results say so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from auditor.errors import DataError
from auditor.schema import Geometry, Status, SystemSpec
from auditor.systems.closing import Closing
from auditor.systems.command_line import (
    UNVERSIONED,
    executable_of,
    filled,
    identify_command,
)
from auditor.systems.command_process import CommandProcess, Ended
from auditor.systems.masks import read_answer, told_of_numbers
from auditor.systems.runners import RunningInfo
from auditor.systems.running import ENDS, MOST_ENDS, Asked, Failure, Prediction, told_ends
from auditor.volumes.images import write_image
from auditor.volumes.label_maps import find_label_map, grid_as_written

__all__ = ["CommandSystem", "channel_names"]

_FINDING = "a command runs outside the sandbox, with all rights of the user"


def channel_names(name: str, channels: int, files: str) -> tuple[str, ...]:
    """Name the files of one scan.

    Parameters
    ----------
    name : str
        Of the scan.
    channels : int
        Of the scan.
    files : str
        nnunet: one file a channel; single: one file, for scans of one channel.

    Raises
    ------
    DataError
        When several channels would have to go into one file.

    Examples
    --------
    >>> channel_names("scan_1", 2, "nnunet")
    ('scan_1_0000.nii.gz', 'scan_1_0001.nii.gz')
    """
    if files == "nnunet":
        return tuple(f"{name}_{number:04d}.nii.gz" for number in range(channels))
    if channels == 1:
        return (f"{name}.nii.gz",)
    msg = (
        f"files: single is for scans of one channel, this scan has {channels}; declare files: nnunet, "
        "one file a channel"
    )
    raise DataError(msg)


class CommandSystem(Closing):
    """A command with its contract, ready to predict; a context manager that holds nothing.

    Raises
    ------
    CheckpointError
        When there is no such program.
    """

    def __init__(self, spec: SystemSpec) -> None:
        self.spec = spec
        """Contract and settings."""
        self._program = executable_of(spec)
        self._undeclared: set[int] = set()

    @property
    def info(self) -> RunningInfo:
        """Digest of what the command names; no sandbox; what its answers so far have shown."""
        known = identify_command(self.spec)
        findings = (_FINDING,) if self.spec.version else (_FINDING, UNVERSIONED)
        findings = (*findings, *told_of_numbers(self._undeclared))
        return RunningInfo("command", known.sha256, known.size_bytes, (), findings)

    def under(self, spec: SystemSpec) -> CommandSystem:
        """Run the same command under other labels.

        Parameters
        ----------
        spec : differs in output only; a command does everything else itself.
        """
        return CommandSystem(replace(self.spec, output=spec.output))

    def predict(
        self,
        images: Sequence[Tensor],
        geometry: Geometry,
        *,
        asked: Sequence[Asked] = (),  # a command must not know which condition it sees
    ) -> list[Prediction | Failure]:
        """Predict every image of one unit in one start.

        Parameters
        ----------
        images : each (channel, *native) float32, all on the grid of `geometry`.
        geometry : of every one of them.
        asked : not used here; see `System`.

        Returns
        -------
        One entry per image, in order.

        Raises
        ------
        StoreError
            When there is no room for temporary files.
        """
        results: dict[int, Prediction | Failure] = {}
        fitting = []
        for i, image in enumerate(images):
            if told := self._misfit(image):
                results[i] = Failure(Status.REJECTED, told)
            else:
                fitting.append(i)
        results |= self._started(fitting, images, geometry)
        return [results[i] for i in range(len(images))]

    def _misfit(self, image: Tensor) -> str:
        channels = int(image.shape[0])
        declared = "input.channels" in dict(self.spec.sources)
        if declared and channels != self.spec.input.channels:
            return f"the scan must have {self.spec.input.channels} channels, it has {channels}"
        try:
            channel_names("", channels, self.spec.files)
        except DataError as error:
            return str(error)
        return ""

    def _started(
        self, wanted: Sequence[int], images: Sequence[Tensor], geometry: Geometry
    ) -> dict[int, Prediction | Failure]:
        """Start the command for some of the images; after a failure for each of them alone."""
        if not wanted:
            return {}
        with CommandProcess() as process:
            source, target = process.folder / "input", process.folder / "output"
            names = {i: f"scan_{number}" for number, i in enumerate(wanted, start=1)}
            for i, name in names.items():
                self._write(source, name, images[i], geometry)
            target.mkdir()
            ended = process.run(
                self._command(source, target), folder=self._folder(), limit_s=self.spec.timeout_s
            )
            if ended.status is Status.OK:
                return {i: self._answer(target, name, geometry, ended) for i, name in names.items()}
        if len(wanted) == 1:
            return {wanted[0]: Failure(ended.status, ended.reason)}
        return self._alone(wanted, images, geometry, ended)

    def _alone(
        self, wanted: Sequence[int], images: Sequence[Tensor], geometry: Geometry, together: Ended
    ) -> dict[int, Prediction | Failure]:
        """Start the command for one image after the other until it was ended twice on this unit."""
        ends = [Failure(together.status, together.reason)] if together.status in ENDS else []
        results: dict[int, Prediction | Failure] = {}
        for i in wanted:
            if len(ends) >= MOST_ENDS:
                results[i] = Failure(Status.QUARANTINED, told_ends(ends))
                continue
            answer = self._started([i], images, geometry)[i]
            if isinstance(answer, Failure) and answer.status in ENDS:
                ends.append(answer)
            results[i] = answer
        return results

    def _command(self, source: Path, target: Path) -> list[str]:
        values = {
            "input": str(source),
            "output": str(target),
            "device": self.spec.device,
            "threads": str(self.spec.threads),
        }
        return [str(self._program), *filled(self.spec.command[1:], values)]

    def _folder(self) -> Path:
        return Path.cwd() if self.spec.runs_in is None else Path(self.spec.runs_in)

    def _write(self, folder: Path, name: str, image: Tensor, geometry: Geometry) -> None:
        grid = grid_as_written(geometry)
        files = channel_names(name, int(image.shape[0]), self.spec.files)
        for file, channel in zip(files, image, strict=True):
            write_image(folder / file, channel, grid)

    def _answer(
        self, folder: Path, name: str, geometry: Geometry, ended: Ended
    ) -> Prediction | Failure:
        try:
            file = find_label_map(folder, name)
        except DataError as error:
            return Failure(Status.REJECTED, str(error))
        if file is None:
            said = f"; it last printed: {ended.last_line}" if ended.last_line else ""
            reason = f"the command wrote no label map {name}.nii.gz for this scan{said}"
            return Failure(Status.FAILED, reason)
        answered = read_answer(file, geometry, self.spec.output)
        self._undeclared |= answered.undeclared
        return answered.outcome
