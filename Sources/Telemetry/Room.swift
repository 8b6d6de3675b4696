// Telemetry: first file arrives shortly.
