extension BinaryInteger {
    /// The number with its noun, for messages: "1 bad line", "2 bad lines".
    ///
    /// - Parameter many: The plural where it is not the noun with an s.
    package func counted(_ noun: String, many: String? = nil) -> String {
        "\(self) \(self == 1 ? noun : many ?? noun + "s")"
    }
}
