"""What it means: commands, their results, who waits for what; pure, imports messages only."""
