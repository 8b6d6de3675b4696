import Features
import Foundation
import TestSupport
import Testing

@testable import Artifacts
@testable import RankingModels

@Suite(.ownThreads) struct StateImportTests {
    /// A tensor of a state dictionary.
    struct Entry {
        var shape: [Int]
        var values: [Float]
        var type = TensorType.f32
    }

    private let folder: TemporaryFolder
    private let sample = NetworkSample(
        tables: [5, 9, 4], dense: 3, shape: .init(embeddingWidth: 4, hidden: [7, 6], hasLinear: true, hasPairs: true),
        seed: 21)

    init() throws { folder = try TemporaryFolder(inMemory: true) }

    private func write(_ state: [String: Entry], metadata: [String: String] = [:]) throws -> String {
        let path = folder.file("\(UUID().uuidString).safetensors")
        let writer = try TensorFileWriter(path: path, metadata: metadata)
        let names = state.keys.sorted()
        for name in names { if let entry = state[name] { writer.declare(name, entry.type, shape: entry.shape) } }
        for name in names {
            guard let entry = state[name] else { continue }
            switch entry.type {
            case .f32: try writer.append(entry.values, to: name)
            case .bf16: try writer.append(entry.values.map { UInt16($0.bitPattern >> 16) }, to: name)
            default: try writer.append(entry.values.map { Int64($0) }, to: name)
            }
        }
        try writer.finish()
        return path
    }

    /// The sample's weights as a model of one table and a `Sequential` with rectifiers and dropout between would save them.
    private var state: [String: Entry] {
        let (weights, layout) = (sample.weights, sample.layout)
        var state = [
            "embedding.weight": Entry(shape: [layout.tableRows, 4], values: weights.table),
            "linear.weight": Entry(shape: [layout.tableRows, 1], values: weights.linear),
            "dense_linear.weight": Entry(shape: [1, 3], values: weights.denseLinear),
            "dense_linear.bias": Entry(shape: [1], values: [weights.bias - 1]),
            "mlp.6.weight": Entry(shape: [1, 6], values: weights.output), "mlp.6.bias": Entry(shape: [1], values: [1]),
        ]
        for (number, layer) in weights.layers.enumerated() {
            state["mlp.\(number * 3).weight"] = Entry(shape: [layer.bias.count, layer.inputs], values: layer.weights)
            state["mlp.\(number * 3).bias"] = Entry(shape: [layer.bias.count], values: layer.bias)
        }
        return state
    }

    private func options(_ change: (inout StateImportOptions) -> Void = { _ in }) -> StateImportOptions {
        var options = StateImportOptions(.deepfm)
        change(&options)
        return options
    }

    /// What the refusal says, without the file's name.
    private func fault(
        _ state: [String: Entry], _ options: StateImportOptions = StateImportOptions(.deepfm),
        metadata: [String: String] = [:], schema: FeatureSchema? = nil
    ) throws -> String {
        let path = try write(state, metadata: metadata)
        do throws(ArtifactError) {
            _ = try StateImport.ranker(path, schema: schema ?? sample.schema, options)
            return "accepted"
        } catch {
            #expect(error.path == path)
            return error.fault
        }
    }

    @Test func `a Sequential with gaps becomes the network that was saved`() throws {
        let ranker = try StateImport.ranker(write(state), schema: sample.schema, options())
        #expect(ranker.weights == sample.weights)
        // The same by other names, with an output layer of its own and flat vectors.
        var renamed: [String: Entry] = [:]
        for (name, entry) in state {
            renamed[
                "module." + name.replacing("mlp.6.", with: "head.").replacing("mlp.", with: "deep.")] = entry
        }
        renamed["module.linear.weight"]?.shape = [18]
        renamed["module.head.weight"]?.shape = [6]
        #expect(try StateImport.ranker(write(renamed), schema: sample.schema, options()).weights == sample.weights)
    }

    @Test func `tables may be the fields' own, by number or by name, in halves`() throws {
        var own = state
        own["embedding.weight"] = nil
        own["linear.weight"] = nil
        for (number, field) in sample.layout.categorical.enumerated() {
            let rows = field.tableOffset..<(field.tableOffset + field.tableRows)
            let name = number == 1 ? field.name : "\(number)"
            own["embeddings.\(name).weight"] = Entry(
                shape: [field.tableRows, 4],
                values: Array(sample.weights.table[(rows.lowerBound * 4)..<(rows.upperBound * 4)]), type: .bf16)
            own["linear.\(number).weight"] = Entry(
                shape: [field.tableRows, 1], values: Array(sample.weights.linear[rows]))
        }
        let weights = try StateImport.ranker(write(own), schema: sample.schema, options()).weights
        #expect(weights.linear == sample.weights.linear)
        #expect(weights.table == sample.weights.table.map { Float(bitPattern: ($0.bitPattern >> 16) << 16) })
        own["embeddings.1.weight"] = own["embeddings.0.weight"]
        own["embeddings.c1.weight"] = nil
        let wrong = try fault(own)
        #expect(wrong.contains("\"embeddings.1.weight\" (embedding.1.weight) is [5, 4]; expected [9, any]"), "\(wrong)")
        #expect(wrong.contains("the field \"c1\" has 9 rows"), "\(wrong)")
    }

    @Test func `each network takes its own tensors`() throws {
        let all = state
        let mlp = all.filter { $0.key.hasPrefix("mlp") || $0.key.hasPrefix("embedding") }
        let shapes = try [
            (ImportedNetwork.mlp, mlp), (.wideDeep, all), (.fm, all.filter { !$0.key.hasPrefix("mlp") }),
            (.lr, all.filter { $0.key.contains("linear") }),
        ].map { network, state in
            try StateImport.ranker(write(state), schema: sample.schema, StateImportOptions(network)).weights.shape
        }
        #expect(
            shapes == [
                NetworkShape(embeddingWidth: 4, hidden: [7, 6], hasLinear: false, hasPairs: false),
                NetworkShape(embeddingWidth: 4, hidden: [7, 6], hasLinear: true, hasPairs: false),
                NetworkShape(embeddingWidth: 4, hidden: [], hasLinear: true, hasPairs: true),
                NetworkShape(embeddingWidth: 0, hidden: [], hasLinear: true, hasPairs: false),
            ])
        // Over numbers alone, a layer called linear is all there is.
        var schema = sample.schema
        schema.fields.removeFirst(3)
        let flat = [
            "linear.weight": Entry(shape: [1, 3], values: [1, 2, 3]), "linear.bias": Entry(shape: [1], values: [4]),
        ]
        let weights = try StateImport.ranker(write(flat), schema: schema, StateImportOptions(.lr)).weights
        #expect(weights.denseLinear == [1, 2, 3])
        #expect(weights.bias == 4)
        #expect(try fault(all, StateImportOptions(.mlp)).contains("no place in a mlp"))
        #expect(try fault(all, StateImportOptions(.fm), schema: schema).contains("needs categorical fields"))
    }

    @Test func `columns go where the network has them`() throws {
        // Numbers first, and embeddings of different widths in a network without pairs.
        var random = SeededGenerator(seed: 5)
        func values(_ count: Int) -> [Float] { (0..<count).map { _ in Float.random(in: -1...1, using: &random) } }
        let widths = [2, 4, 1]
        let tables = zip(sample.layout.categorical, widths).map { values($0.tableRows * $1) }
        let (first, last) = (values(5 * 10), values(5))
        var state = [
            "layers.0.weight": Entry(shape: [5, 10], values: first), "out.weight": Entry(shape: [1, 5], values: last),
        ]
        for (number, field) in sample.layout.categorical.enumerated() {
            state["embeddings.\(number).weight"] = Entry(
                shape: [field.tableRows, widths[number]], values: tables[number])
        }
        var options = StateImportOptions(.mlp)
        options.isDenseFirst = true
        let ranker = try StateImport.ranker(write(state), schema: sample.schema, options)
        let (rows, plain) = sample.rows(50, seed: 6)
        let found = scores(ranker.weights, sample.layout, rows)
        for (row, logit) in zip(plain, found) {
            var x = row.dense
            for (number, field) in sample.layout.categorical.enumerated() {
                let id = Int(row.ids[number][0]) - field.tableOffset
                x += tables[number][(id * widths[number])..<((id + 1) * widths[number])]
            }
            let hidden = (0..<5).map { unit in max(0, zip(x, first[(unit * 10)...]).reduce(0) { $0 + $1.0 * $1.1 }) }
            #expect(abs(zip(hidden, last).reduce(0) { $0 + $1.0 * $1.1 } - logit) <= 1e-5)
        }
    }

    /// Batch norm with random statistics, as modules `prefix.*`.
    private func norm(_ prefix: String, _ width: Int, seed: UInt64) -> [String: Entry] {
        var random = SeededGenerator(seed: seed)
        func values(_ range: ClosedRange<Float>) -> Entry {
            Entry(shape: [width], values: (0..<width).map { _ in Float.random(in: range, using: &random) })
        }
        return [
            "\(prefix).weight": values(0.5...2), "\(prefix).bias": values(-1...1),
            "\(prefix).running_mean": values(-1...1),
            "\(prefix).running_var": values(0.2...3),
            "\(prefix).num_batches_tracked": Entry(shape: [], values: [9], type: .i64),
        ]
    }

    /// Layers 0 and `second`, output at 9, norms where told; the score of the file against that of plain arithmetic.
    private func check(
        norms: [Int: String], second: Int, _ change: (inout StateImportOptions) -> Void = { _ in }
    ) throws {
        var state = state.filter { !$0.key.hasPrefix("mlp") && !$0.key.contains("linear") }
        let layers = sample.weights.layers
        for (number, layer) in zip([0, second], layers) {
            // A norm makes the bias needless, and models leave it out.
            state["mlp.\(number + 1).weight"] = Entry(shape: [layer.bias.count, layer.inputs], values: layer.weights)
        }
        state["mlp.9.weight"] = Entry(shape: [1, 6], values: sample.weights.output)
        var all: [Int: [String: Entry]] = [:]
        for (number, place) in norms {
            all[number] = norm(
                "mlp.\(number)", place == "input" ? 15 : place.hasSuffix("1") ? 7 : 6, seed: UInt64(number))
            state.merge(all[number] ?? [:]) { $1 }
        }
        var options = StateImportOptions(.mlp)
        change(&options)
        let ranker = try StateImport.ranker(write(state), schema: sample.schema, options)
        let (rows, plain) = sample.rows(40, seed: 7)
        let found = scores(ranker.weights, sample.layout, rows)
        func apply(_ place: String, _ x: inout [Double]) {
            guard let number = norms.first(where: { $0.value == place })?.key, let norm = all[number] else { return }
            func value(_ name: String, _ at: Int) -> Double {
                Double(norm["mlp.\(number).\(name)"]?.values[at] ?? .nan)
            }
            for at in x.indices {
                let shifted = x[at] - value("running_mean", at)
                x[at] =
                    shifted / (value("running_var", at) + 1e-5).squareRoot() * value("weight", at) + value("bias", at)
            }
        }
        for (row, logit) in zip(plain, found) {
            var x = row.ids.flatMap { sample.weights.table[(Int($0[0]) * 4)..<(Int($0[0]) * 4 + 4)] }.map(Double.init)
            x += row.dense.map(Double.init)
            apply("input", &x)
            for (number, layer) in layers.enumerated() {
                x = layer.bias.indices.map { output in
                    x.indices.reduce(0) { $0 + x[$1] * Double(layer.weights[output * x.count + $1]) }
                }
                apply("before \(number + 1)", &x)
                x = x.map { max($0, 0) }
                apply("after \(number + 1)", &x)
            }
            let score = zip(x, sample.weights.output).reduce(0) { $0 + $1.0 * Double($1.1) }
            #expect(abs(score - Double(logit)) <= 1e-5 * max(1, abs(score)), "\(score) \(logit)")
        }
    }

    @Test func `batch norms are folded into the layers beside them`() throws {
        try check(norms: [0: "input"], second: 3)
        try check(norms: [2: "before 1", 6: "before 2"], second: 4)
        try check(norms: [3: "after 1"], second: 3)
        try check(norms: [0: "input", 2: "before 1"], second: 4)
        try check(norms: [3: "after 1", 7: "after 2"], second: 4) { $0.batchNorm = .after }
        let unclear = #expect(throws: ArtifactError.self) { try check(norms: [3: "after 1"], second: 4) }
        #expect(unclear?.fault.contains("--batch-norm before or --batch-norm after") == true)
    }

    @Test func `what is wrong is said with the tensor's name`() throws {
        func changed(_ change: (inout [String: Entry]) -> Void, _ network: ImportedNetwork = .deepfm) throws -> String {
            var state = state
            change(&state)
            return try fault(state, StateImportOptions(network))
        }
        for (words, change) in [
            (
                "lacks the tensor \"embedding.weight\" of shape [18, any], or \"embedding.c0.weight\"",
                { $0["embedding.weight"] = nil }
            ),
            ("lacks the tensor \"linear.weight\" of shape [18, 1]", { $0["linear.weight"] = nil }),
            ("lacks the tensor \"dense_linear.weight\" of shape [1, 3]", { $0["dense_linear.weight"] = nil }),
            (
                "lacks the tensor \"output.weight\" of shape [1, 6]",
                {
                    $0["mlp.6.weight"] = nil; $0["mlp.6.bias"] = nil
                }
            ),
            (
                "\"mlp.3.weight\" is [6, 7]; expected [any, 6]",
                {
                    $0["mlp.0.weight"]?.shape = [7, 15];
                    $0["mlp.0.weight"] = .init(shape: [6, 15], values: .init(repeating: 1, count: 90));
                    $0["mlp.0.bias"] = nil
                }
            ),
            ("\"mlp.0.weight\" is [15, 7]; expected [any, 15]", { $0["mlp.0.weight"]?.shape = [15, 7] }),
            ("\"mlp.3.bias\" holds nan at 2", { $0["mlp.3.bias"]?.values[2] = .nan }),
            ("\"embedding.weight\" holds -inf at 5", { $0["embedding.weight"]?.values[5] = -.infinity }),
            (
                "\"embedding.weight\" is [17, 4]; expected [18, any]",
                { $0["embedding.weight"] = .init(shape: [17, 4], values: .init(repeating: 0, count: 68)) }
            ),
            (
                "the row of unknown values counted: c0 5, c1 9, c2 4",
                { $0["embedding.weight"] = .init(shape: [19, 4], values: .init(repeating: 0, count: 76)) }
            ),
            ("\"linear.weight\" is I64; F32, F16 or BF16", { $0["linear.weight"]?.type = .i64 }),
            (
                "\"attention.weight\" has no place in a deepfm",
                { $0["attention.weight"] = .init(shape: [1], values: [1]) }
            ),
            (
                "\"mlp.1.weight\" is [7]; expected [outputs, 7] of a linear layer",
                { $0["mlp.1.weight"] = .init(shape: [7], values: .init(repeating: 1, count: 7)) }
            ),
            (
                "\"mlp.first.weight\" is no \"mlp.NUMBER.weight\"",
                { $0["mlp.first.weight"] = .init(shape: [1], values: [1]) }
            ),
            ("both mean \"embedding.weight\"", { $0["embeddings.weight"] = $0["embedding.weight"] }),
        ] as [(String, (inout [String: Entry]) -> Void)] {
            let said = try changed(change)
            #expect(said.contains(words), "\(said)")
        }
        #expect(
            try fault(state, metadata: ["kind": "network", "features_sha256": "0"]).contains("a ranker's file already"))
    }

    @Test func `names may be others, and tensors left out`() throws {
        var others = state
        others["tower.a.weight"] = others.removeValue(forKey: "mlp.0.weight")
        others["tower.a.bias"] = others.removeValue(forKey: "mlp.0.bias")
        others["step"] = Entry(shape: [], values: [3], type: .i64)
        let renamed = options { $0.names = ["tower.a.": "mlp.0.", "step": nil] }
        #expect(try StateImport.ranker(write(others), schema: sample.schema, renamed).weights == sample.weights)
        let unknown = try fault(others, options { $0.names = ["tower.b.": "mlp.0."] })
        #expect(unknown.contains("--names has \"tower.b.\", which is no tensor"), "\(unknown)")
    }

    @Test func `broken weights and schemas never crash`() throws {
        let seed = UInt64.random(in: 0..<1 << 32)
        print("seed \(seed)")
        var random = SeededGenerator(seed: seed)
        let path = try write(state)
        let bytes = try WholeFile.read(path, bytesMax: 1 << 20)
        let schema = Array(JSONText.print(sample.schema.json(), indented: false).utf8)
        try folder.write(schema, to: "schema.json")
        #expect(try ImportFiles.schema(folder.file("schema.json")) == sample.schema)
        let ranker = try StateImport.ranker(path, schema: sample.schema, options())
        try ranker.write(to: TensorFileWriter(path: folder.file("ranker.safetensors"), metadata: ranker.metadata))
        let whole = try folder.read("ranker.safetensors")
        for _ in 0..<1500 {
            try folder.write(random.mutated(whole), to: "mutated.ranker")
            _ = try? NetworkRanker(TensorFile(path: folder.file("mutated.ranker")))
            try folder.write(random.mutated(bytes), to: "mutated.safetensors")
            try folder.write(random.mutated(schema), to: "mutated.json")
            let mutated = (try? ImportFiles.schema(folder.file("mutated.json"))) ?? sample.schema
            _ = try? StateImport.ranker(folder.file("mutated.safetensors"), schema: sample.schema, options())
            _ = try? StateImport.ranker(path, schema: mutated, options())
        }
        for (text, words) in [
            ("[]", "no JSON object"), ("{\"a\": 1}", "\"a\" is neither a name nor null"), ("{", "not JSON"),
        ] {
            try folder.write(Array(text.utf8), to: "names.json")
            let error = #expect(throws: ArtifactError.self) { try ImportFiles.names(folder.file("names.json")) }
            #expect(error?.fault.contains(words) == true)
        }
    }
}
