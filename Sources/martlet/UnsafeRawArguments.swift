/// The arguments as bytes. `CommandLine.arguments` replaces what is not UTF-8, and such an ID or path would name another.
enum RawArguments {
    /// What to say of the first argument that is not UTF-8; nil: all are.
    static func fault(
        count: Int = Int(CommandLine.argc),
        _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?> = CommandLine.unsafeArgv
    ) -> String? {
        for index in 0..<count {
            guard let argument = arguments[index], String(validatingCString: argument) == nil else { continue }
            let shown = AnswerTable.printable(String(cString: argument))
            return "argument \(index), '\(shown)', is not UTF-8; IDs, names and paths are given in UTF-8"
        }
        return nil
    }
}
