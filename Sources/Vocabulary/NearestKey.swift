/// Finds the key that was probably meant.
package enum NearestKey {
    /// The key with the fewest edits to `key`, unless that is most of it.
    package static func suggestion(for key: String, among known: some Sequence<String>) -> String? {
        let wanted = Array(key.utf8.prefix(100))
        // The last part alone is tried as well: `k_max` for `limits.k_max`.
        let candidates = known.map { name in
            let last = name.split(separator: ".").last.map(String.init) ?? name
            return (name: name, edits: min(edits(wanted, Array(name.utf8)), edits(wanted, Array(last.utf8)) + 1))
        }
        guard let best = candidates.min(by: { ($0.edits, $0.name) < ($1.edits, $1.name) }) else { return nil }
        return best.edits <= max(2, wanted.count / 2) ? best.name : nil
    }

    /// Insertions, deletions and replacements between the two (Levenshtein distance).
    package static func edits(_ a: [UInt8], _ b: [UInt8]) -> Int {
        var row = Array(0...b.count)
        for (i, x) in a.enumerated() {
            var diagonal = row[0]
            row[0] = i + 1
            for (j, y) in b.enumerated() {
                let above = row[j + 1]
                row[j + 1] = min(above + 1, row[j] + 1, diagonal + (x == y ? 0 : 1))
                diagonal = above
            }
        }
        return row[b.count]
    }
}
