/// Why a log cannot be read, written or opened.
package struct LogError: Error, Equatable, Sendable, CustomStringConvertible {
    package enum Code: String, Sendable, CaseIterable {
        /// The folder or file is not there.
        case notFound = "not_found"
        /// The disk or the quota is full.
        case diskFull = "disk_full"
        /// Another process writes to the log.
        case inUse = "in_use"
        /// Written by a newer version than this one can read.
        case newerFormat = "newer_format"
        /// The bytes break the rules of the format.
        case malformed
        /// More waits for the disk than may wait.
        case full
        /// The log was closed.
        case closed
        /// The operating system refused.
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
