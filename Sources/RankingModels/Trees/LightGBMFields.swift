import Artifacts

/// The `key=value` lines of a header or a tree, with errors that name the file, the tree and the key.
struct LightGBMFields {
    let path: String
    /// "the header", "tree 7".
    let place: String
    private var values: [String: ArraySlice<UInt8>] = [:]

    init(path: String, place: String) {
        self.path = path
        self.place = place
    }

    mutating func add(_ key: String, _ value: ArraySlice<UInt8>) throws(ArtifactError) {
        guard values.updateValue(value, forKey: key) == nil else { throw fail(key, "it stands there twice") }
    }

    func fail(_ key: String, _ fault: String) -> ArtifactError {
        ArtifactError(.malformed, path: path, "\(place), \(key.prefix(60)): \(fault)")
    }

    func optional(_ key: String) -> String? { values[key].map { String(decoding: $0, as: UTF8.self) } }

    private func value(_ key: String) throws(ArtifactError) -> ArraySlice<UInt8> {
        guard let value = values[key] else { throw fail(key, "the line is missing") }
        return value
    }

    func words(_ key: String) throws(ArtifactError) -> [String] {
        try value(key).split(separator: UInt8(ascii: " ")).map { String(decoding: $0, as: UTF8.self) }
    }

    func integer(_ key: String, _ range: ClosedRange<Int>) throws(ArtifactError) -> Int {
        let text = String(decoding: try value(key), as: UTF8.self)
        guard let number = Int(text) else { throw fail(key, "'\(text.prefix(40))' is no whole number") }
        guard range.contains(number) else {
            throw fail(key, "\(number) is out of range; allowed: \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    /// `count` whole numbers, each in `range`.
    func integers(_ key: String, count: Int, _ range: ClosedRange<Int>) throws(ArtifactError) -> [Int] {
        try numbers(key, count: count) { (text: Substring) in Int(text).flatMap { range.contains($0) ? $0 : nil } }
    }

    /// `count` words of 32 bits.
    func words32(_ key: String, count: Int) throws(ArtifactError) -> [UInt32] {
        try numbers(key, count: count) { UInt32($0) }
    }

    /// `count` numbers, none of them NaN.
    func doubles(_ key: String, count: Int, finite: Bool) throws(ArtifactError) -> [Double] {
        try numbers(key, count: count) { (text: Substring) in
            Double(text).flatMap { (finite ? $0.isFinite : !$0.isNaN) ? $0 : nil }
        }
    }

    private func numbers<Number>(
        _ key: String, count: Int, _ parse: (Substring) -> Number?
    ) throws(ArtifactError) -> [Number] {
        // An empty list may stand there as an empty line, or not at all.
        guard count > 0 else { return [] }
        let text = String(decoding: try value(key), as: UTF8.self)
        var numbers: [Number] = []
        numbers.reserveCapacity(min(count, text.utf8.count))
        for word in text.split(separator: " ") {
            guard let number = parse(word) else {
                throw fail(key, "'\(word.prefix(40))' is not allowed at place \(numbers.count)")
            }
            numbers.append(number)
        }
        guard numbers.count == count else { throw fail(key, "\(numbers.count) values; \(count) are needed") }
        return numbers
    }
}
