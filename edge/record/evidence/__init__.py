"""Evidence: pictures of rejects, undecided parts, close passes and a sample, with all that is known of each."""
