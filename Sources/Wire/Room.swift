// Wire: first file arrives shortly.
