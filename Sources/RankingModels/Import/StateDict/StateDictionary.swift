import Artifacts
import Features

/// The tensors of a file under the names that are looked for, each to be taken once.
struct StateDictionary {
    private let file: TensorFile
    /// The file's names by ours.
    private var names: [String: String] = [:]
    private var taken: Set<String> = []

    /// Prefixes that wrappers put before every name.
    private static let wrappers = ["module.", "_orig_mod."]
    /// Other words for the first part of a name.
    private static let words = [
        "embeddings": "embedding", "linears": "linear", "deep": "mlp", "dnn": "mlp", "layers": "mlp", "out": "output",
        "head": "output",
    ]

    /// - Parameter renames: New names by old ones, see `StateImportOptions`.
    init(_ file: TensorFile, _ renames: [String: String?]) throws(ImportFault) {
        self.file = file
        guard file.names.count <= ImportLimits.tensorsMax else {
            throw ImportFault("it has \(file.names.count) tensors; at most \(ImportLimits.tensorsMax)")
        }
        let prefixes = renames.keys.filter { $0.hasSuffix(".") }.sorted { ($1.utf8.count, $0) < ($0.utf8.count, $1) }
        var used: Set<String> = []
        for name in file.names.sorted() {
            var own = Self.canonical(name)
            if let renamed = renames[name] {
                used.insert(name)
                guard let renamed else { continue }
                own = renamed
            } else if let prefix = prefixes.first(where: { name.hasPrefix($0) }), let renamed = renames[prefix] {
                used.insert(prefix)
                guard let renamed else { continue }
                own = renamed + name.dropFirst(prefix.count)
            }
            if let other = names.updateValue(name, forKey: own) {
                throw ImportFault(
                    "the tensors \"\(other)\" and \"\(name)\" both mean \"\(own)\"; say which with --names")
            }
        }
        if let unused = renames.keys.sorted().first(where: { !used.contains($0) }) {
            throw ImportFault("--names has \"\(unused)\", which is no tensor; it has \(sample)")
        }
    }

    private static func canonical(_ name: String) -> String {
        var rest = name[...]
        while let wrapper = wrappers.first(where: { rest.hasPrefix($0) }) { rest = rest.dropFirst(wrapper.count) }
        guard let point = rest.firstIndex(of: ".") else { return String(rest) }
        let first = String(rest[..<point])
        return (words[first] ?? first) + rest[point...]
    }

    /// Some of the file's names, for messages.
    var sample: String {
        let names = file.names.sorted()
        return names.count > 20 ? "\(names.prefix(20)) and \(names.count - 20) more" : "\(names)"
    }

    var ownNames: [String] { names.keys.sorted() }
    func has(_ name: String) -> Bool { names[name] != nil }
    func shape(_ name: String) -> [Int]? { names[name].flatMap { file.describe($0)?.shape } }

    /// What a tensor is called in the file, for messages.
    func label(_ name: String) -> String {
        let theirs = names[name] ?? name
        return theirs == name ? "\"\(name)\"" : "\"\(theirs)\" (\(name))"
    }

    /// The values of a tensor that has one of these shapes.
    ///
    /// - Parameters:
    ///   - layout: The tensor has a row for each row of its tables.
    ///   - field: The tensor has a row for each row of this field.
    /// - Throws: `ImportFault` when it is missing, has another shape or type, or holds something else than numbers.
    mutating func take(
        _ name: String, _ shapes: [[Int?]], rows layout: FeatureLayout? = nil, field: FeatureLayout.Categorical? = nil
    ) throws(ImportFault) -> [Float] {
        let wanted = shapes.map { "[\($0.map { $0.map(String.init) ?? "any" }.joined(separator: ", "))]" }
            .joined(separator: " or ")
        guard let theirs = names[name], let (type, shape) = file.describe(theirs) else {
            throw ImportFault("it lacks the tensor \"\(name)\" of shape \(wanted); it has \(sample)")
        }
        guard type == .f32 || type == .f16 || type == .bf16 else {
            throw ImportFault(
                "the tensor \(label(name)) is \(type.rawValue); F32, F16 or BF16 can be read (tensor.float() in PyTorch)"
            )
        }
        let fits = shapes.contains { one in
            one.count == shape.count && zip(one, shape).allSatisfy { $0 == nil || $0 == $1 }
        }
        guard fits else {
            var reason = ""
            if let layout {
                let tables = layout.categorical.map { "\($0.name) \($0.tableRows)" }.prefix(20).joined(separator: ", ")
                reason = "; rows of the schema's fields, the row of unknown values counted: \(tables)"
            } else if let field {
                reason = "; the field \"\(field.name)\" has \(field.tableRows) rows, the row of unknown values counted"
            }
            throw ImportFault("the tensor \(label(name)) is \(shape); expected \(wanted)\(reason)")
        }
        taken.insert(name)
        let values: [Float]
        do throws(ArtifactError) {
            values = try file.floats(theirs, shape: shape)
        } catch {
            throw ImportFault(error.fault)
        }
        if let place = values.firstIndex(where: { !$0.isFinite }) {
            throw ImportFault("the tensor \(label(name)) holds \(values[place]) at \(place); all have to be finite")
        }
        return values
    }

    mutating func takeIfThere(_ name: String, _ shapes: [[Int?]]) throws(ImportFault) -> [Float]? {
        has(name) ? try take(name, shapes) : nil
    }

    /// Passes over a tensor that says nothing.
    mutating func skip(_ name: String) { taken.insert(name) }

    /// - Throws: `ImportFault` naming a tensor that nobody asked for.
    func checkAllTaken(_ network: ImportedNetwork) throws(ImportFault) {
        let left = names.keys.filter { !taken.contains($0) }.sorted()
        guard let first = left.first else { return }
        let more = left.count > 1 ? " (and \(left.count - 1) more)" : ""
        throw ImportFault(
            "the tensor \(label(first))\(more) has no place in a \(network.rawValue); name another network with --ranker, rename it with --names, or leave it out there (null)"
        )
    }
}
