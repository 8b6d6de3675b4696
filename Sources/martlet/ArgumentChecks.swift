import ArgumentParser
import Vocabulary

/// What the flags of several commands have in common: each check names the flag, what is wrong and what is allowed.
enum ArgumentCheck {
    /// An ID that a node would take.
    static func id(_ text: String, _ flag: String) throws {
        do throws(IdentityError) {
            try Identity.validate(text)
        } catch {
            throw ValidationError("\(flag): \(error)")
        }
    }

    /// A name that may be left out, else follows the rule of IDs.
    static func name(_ text: String, _ flag: String) throws {
        if !text.isEmpty { try id(text, flag) }
    }

    /// A path that is given has letters.
    static func path(_ text: String?, _ flag: String) throws {
        if let text, text.isEmpty { throw ValidationError("\(flag) is empty; name a file or folder") }
    }

    static func range<Value: Comparable>(_ value: Value?, _ flag: String, _ range: ClosedRange<Value>) throws {
        guard let value, !range.contains(value) else { return }
        throw ValidationError("\(flag) is \(value); allowed: \(range.lowerBound) to \(range.upperBound)")
    }
}
