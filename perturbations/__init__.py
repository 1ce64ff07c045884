"""What can happen to a scan between the patient and the model."""
