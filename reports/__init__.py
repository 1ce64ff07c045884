"""How an audit is shown: reads results and exhibits, formats them, computes nothing."""
