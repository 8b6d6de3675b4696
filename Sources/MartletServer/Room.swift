// MartletServer: first file arrives shortly.
