import ArgumentParser
import MartletClient

/// What a request says of its moment: shared by `recommend` and `rank`.
struct ContextArguments: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "What the ranker may know of the moment, such as hour=21; several values with | between; may be given again.",
            valueName: "name=value"))
    var context: [String] = []

    func validate() throws { _ = try entries() }

    /// - Throws: `ValidationError` that names the text and what is wrong with it.
    func entries() throws -> [ContextEntry] {
        if context.count > RequestLimits.contextEntriesMax {
            throw ValidationError(
                "--context stands \(context.count) times; at most \(RequestLimits.contextEntriesMax) are allowed")
        }
        var entries: [ContextEntry] = []
        for text in context {
            guard let sign = text.firstIndex(of: "="), sign > text.startIndex else {
                throw ValidationError("--context takes a name and a value, such as hour=21, not '\(text)'")
            }
            let (key, value) = (String(text[..<sign]), String(text[text.index(after: sign)...]))
            try ArgumentCheck.id(key, "--context '\(text)'")
            if value.utf8.count > RequestLimits.contextValueBytesMax {
                throw ValidationError(
                    "--context \(key) has \(value.utf8.count) bytes; at most \(RequestLimits.contextValueBytesMax)")
            }
            if entries.contains(where: { $0.key == key }) {
                throw ValidationError("--context \(key) stands twice; several values have | between: \(key)=a|b")
            }
            entries.append(ContextEntry(key: key, value: value))
        }
        return entries
    }
}
