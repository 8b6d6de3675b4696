// Artifacts: first file arrives shortly.
