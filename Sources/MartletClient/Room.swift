// MartletClient: first file arrives shortly.
