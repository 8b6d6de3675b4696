/// Why state of users cannot be configured, or read back.
package struct LiveStateError: Error, Equatable, Sendable, CustomStringConvertible {
    package enum Code: String, Sendable, CaseIterable {
        /// A setting is out of its range, or settings contradict each other.
        case invalidConfiguration = "invalid_configuration"
        /// The bytes break the rules of the format.
        case malformed
        /// Written by a newer version than this one can read.
        case newerFormat = "newer_format"
        /// Written with event types that have other codes now.
        case typesChanged = "types_changed"
        /// More than may be kept.
        case full
    }

    package let code: Code
    /// What is wrong, where, and what to do.
    package let fault: String

    package init(_ code: Code, _ fault: String) {
        self.code = code
        self.fault = fault
    }

    package var description: String { fault }
}
