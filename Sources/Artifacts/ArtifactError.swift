/// Why a model on disk cannot be read or written: what is wrong, in which file, and what to do about it.
package struct ArtifactError: Error, Equatable, Sendable, CustomStringConvertible {
    /// Whose fault it is. Callers decide by the code and show the message.
    package enum Code: String, Sendable, CaseIterable {
        /// The folder or file is not there.
        case notFound = "not_found"
        /// It is there, but it is something else than a bundle.
        case notABundle = "not_a_bundle"
        /// Written by a newer version than this one can read.
        case newerFormat = "newer_format"
        /// The bytes break the rules of the format.
        case malformed
        /// The file ends too early, or is longer than the manifest says.
        case sizeMismatch = "size_mismatch"
        /// The bytes are not those that were published.
        case checksumMismatch = "checksum_mismatch"
        /// A name that leads out of the bundle, or a link.
        case unsafePath = "unsafe_path"
        /// The file lacks a tensor that is needed.
        case missingTensor = "missing_tensor"
        /// The tensor has another type or shape than is needed.
        case wrongTensor = "wrong_tensor"
        /// The format is right but what it says cannot be: an index out of range, an ID twice.
        case invalidContent = "invalid_content"
        /// The destination is taken.
        case alreadyExists = "already_exists"
        /// The operating system refused (no space, no permission).
        case system
    }

    package let code: Code
    /// The folder or file at fault.
    package let path: String
    /// The fault and the remedy, without the path.
    package let fault: String

    package init(_ code: Code, path: String, _ fault: String) {
        self.code = code
        self.path = path
        self.fault = fault
    }

    package var description: String { "\(path): \(fault)" }
}
