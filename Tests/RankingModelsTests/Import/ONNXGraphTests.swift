import Features
import TestSupport
import Testing

@testable import Artifacts
@testable import RankingModels

/// Graphs written by hand: what exporters write seldom, and what no network here does.
@Suite(.ownThreads) struct ONNXGraphTests {
    /// Two categorical fields of 3 and 4 rows, two numbers.
    private static let schema = FeatureSchema(fields: [
        FeatureField("a", from: .context("a"), .categorical(.hashed(buckets: 2), isMultivalued: false)),
        FeatureField("b", from: .context("b"), .categorical(.hashed(buckets: 3), isMultivalued: false)),
        FeatureField("x", from: .context("x"), .dense(.none, missing: 0)),
        FeatureField("y", from: .context("y"), .dense(.none, missing: 0)),
    ])

    /// A graph with inputs `ids` and `x`, tables `e` (width 2), and what `build` adds up to `score`.
    private func ranker(
        version: Int = 17, batch: Int? = nil, termsMax: Int = ImportLimits.termsMax,
        _ build: (inout ONNXBuilder) -> Void
    ) throws(ArtifactError) -> NetworkRanker {
        var graph = ONNXBuilder()
        graph.version = version
        graph.input("ids", [batch, 2], type: 7)
        graph.input("x", [batch, 2])
        graph.output("score")
        graph.constant("offsets", ints: [0, 3])
        graph.constant("table", [7, 2], (0..<14).map { Float($0) / 4 - 1 })
        graph.node("Add", ["ids", "offsets"], ["rows"])
        graph.node("Gather", ["table", "rows"], ["e"])
        graph.constant("ones", [2, 1], [1, 1])
        graph.node("MatMul", ["x", "ones"], ["sum"])
        graph.node("ReduceSum", ["e", "axes"], ["linear"], ["keepdims": .int(0)])
        graph.constant("axes", ints: [1, 2])
        graph.constant("column", ints: [1])
        graph.node("Unsqueeze", ["linear", "column"], ["linear_column"])
        graph.node("Add", ["sum", "linear_column"], ["plain"])
        build(&graph)
        return try ONNXImport.ranker(graph.bytes, path: "model.onnx", schema: Self.schema, termsMax: termsMax)
    }

    /// The logits of some rows.
    private func logits(_ ranker: NetworkRanker) -> [Float] {
        let layout = FeatureLayout(Self.schema)
        let rows = FeatureRows(layout)
        for place in 0..<6 {
            let row = rows.append()
            rows.set(row, categorical: 0, to: UInt32(place % 3))
            rows.set(row, categorical: 1, to: UInt32(3 + place % 4))
            rows.set(row, dense: 0, to: Float(place) / 2 - 1)
            rows.set(row, dense: 1, to: 1 - Float(place * place) / 8)
        }
        return scores(ranker.weights, layout, rows)
    }

    /// What `plain` is for these rows.
    private var plain: [Float] {
        (0..<6).map { place in
            let (a, b) = (place % 3, 3 + place % 4)
            let embeddings = [2 * a, 2 * a + 1, 2 * b, 2 * b + 1].reduce(0) { $0 + Float($1) / 4 - 1 }
            return embeddings + Float(place) / 2 - 1 + 1 - Float(place * place) / 8
        }
    }

    private func expect(
        _ expected: (Float) -> Float, version: Int = 17, batch: Int? = nil, _ build: (inout ONNXBuilder) -> Void
    ) throws {
        for (found, value) in zip(logits(try ranker(version: version, batch: batch, build)), plain.map(expected)) {
            #expect(abs(found - value) <= 1e-5 * max(1, abs(value)), "\(found) \(value)")
        }
    }

    @Test func `every way to write a sum is the sum`() throws {
        try expect({ $0 }) { $0.node("Identity", ["plain"], ["score"]) }
        try expect({ $0 }, batch: 1) { $0.node("Identity", ["plain"], ["score"]) }
        try expect({ $0 }) { $0.node("Sigmoid", ["plain"], ["score"]) }
        try expect({ -3 * $0 - 1 }) {
            $0.constant("three", [], [3])
            $0.constant("one", [1, 1], [1])
            $0.node("Mul", ["three", "plain"], ["scaled"])
            $0.node("Neg", ["scaled"], ["minus"])
            $0.node("Sub", ["minus", "one"], ["score"])
        }
        try expect({ $0 / 2 + 4 }) {
            $0.constant("w", [1, 1], [0.25])
            $0.constant("c", [1], [8])
            $0.node(
                "Gemm", ["plain", "w", "c"], ["score"], ["alpha": .float(2), "beta": .float(0.5), "transB": .int(1)])
        }
        try expect({ 2 * $0 }) {
            $0.node("Split", ["x"], ["left", "right"], ["axis": .int(-1)])
            $0.node("Concat", ["right", "left"], ["swapped"], ["axis": .int(1)])
            $0.node("ReduceMean", ["swapped"], ["mean"], ["axes": .ints([1])])
            $0.constant("two", [], [2])
            $0.node("Mul", ["mean", "two"], ["numbers"])
            $0.node("Sum", ["numbers", "linear_column", "plain"], ["score"])
        }
        try expect({ $0 }) {
            $0.node("Shape", ["plain"], ["shape"])
            $0.constant("minus", ints: [-1])
            $0.node("Equal", ["shape", "minus"], ["unknown"])
            $0.node("Where", ["unknown", "minus", "shape"], ["wanted"])
            $0.node("Expand", ["plain", "wanted"], ["wide"])
            $0.node("Transpose", ["wide"], ["turned"])
            $0.node("Flatten", ["turned"], ["flat"], ["axis": .int(0)])
            $0.node("Reshape", ["flat", "wanted"], ["score"])
        }
        try expect({ ($0 - 5) * 0.5 }) {
            $0.node(
                "Scaler", ["plain"], ["score"], ["offset": .floats([5]), "scale": .floats([0.5])], domain: "ai.onnx.ml")
        }
        try expect({ 3 * $0 + 7 }) {
            $0.node(
                "LinearRegressor", ["plain"], ["score"], ["coefficients": .floats([3]), "intercepts": .floats([7])],
                domain: "ai.onnx.ml")
        }
        try expect({ 2 * $0 }) {
            $0.node(
                "LinearClassifier", ["plain"], ["label", "two"],
                [
                    "coefficients": .floats([-2, 2]), "intercepts": .floats([0, 0]),
                    "post_transform": .text("LOGISTIC"),
                ],
                domain: "ai.onnx.ml")
            $0.node("Normalizer", ["two"], ["score"], ["norm": .text("L1")], domain: "ai.onnx.ml")
        }
        try expect({ $0 }, version: 11) {
            $0.node("Dropout", ["plain"], ["score", "mask"], ["ratio": .float(0.5)])
        }
    }

    @Test func `a rectifier may be a maximum or a clip, and normalisation over the batch is part of a layer`() throws {
        for build in [
            { $0.node("Relu", ["plain"], ["h"]) },
            {
                $0.constant("zero", [], [0])
                $0.node("Max", ["zero", "plain"], ["h"])
            },
            {
                $0.constant("zero", [], [0])
                $0.node("Clip", ["plain", "zero"], ["h"])
            },
        ] as [(inout ONNXBuilder) -> Void] {
            try expect({ (max($0, 0) - 1) / 2 * 3 + 4 }) {
                build(&$0)
                for (name, value) in [("gamma", 3), ("beta", 4), ("mean", 1), ("variance", 3.75)] {
                    $0.constant(name, [1], [Float(value)])
                }
                $0.node(
                    "BatchNormalization", ["h", "gamma", "beta", "mean", "variance"], ["score"],
                    ["epsilon": .float(0.25)])
            }
        }
    }

    @Test(arguments: [false, true])
    func `pairs may be weighed, and share their embeddings with the layers`(byLetters: Bool) throws {
        let ranker = try ranker {
            $0.constant("0", ints: [0], shape: [])
            $0.constant("1", ints: [1], shape: [])
            $0.node("Gather", ["e", "0"], ["ea"], ["axis": .int(1)])
            $0.node("Gather", ["e", "1"], ["eb"], ["axis": .int(1)])
            if byLetters {
                // All products of both fields' rows, of which the table's own order takes one: f < g.
                $0.node("Einsum", ["e", "e"], ["all"], ["equation": .text("bfk, bgk -> bfg")])
                $0.node("Gather", ["all", "0"], ["of_a"], ["axis": .int(1)])
                $0.node("Gather", ["of_a", "column"], ["pairs"], ["axis": .int(1)])
            } else {
                $0.node("Mul", ["ea", "eb"], ["products"])
                $0.node("ReduceSum", ["products", "column"], ["pairs"])
            }
            $0.constant("quarter", [1], [0.25])
            $0.node("Mul", ["pairs", "quarter"], ["weighed"])
            $0.node("Relu", ["plain"], ["h"])
            $0.node("Add", ["weighed", "h"], ["score"])
        }
        #expect(ranker.weights.shape == NetworkShape(embeddingWidth: 2, hidden: [1], hasLinear: false, hasPairs: true))
        func entry(_ row: Int, _ column: Int) -> Float { Float(row * 2 + column) / 4 - 1 }
        for (place, (found, plain)) in zip(logits(ranker), plain).enumerated() {
            let pairs = (0..<2).reduce(Float(0)) { $0 + entry(place % 3, $1) * entry(3 + place % 4, $1) }
            #expect(abs(found - (0.25 * pairs + max(plain, 0))) <= 1e-5, "\(found)")
        }
    }

    private func fault(
        version: Int = 17, batch: Int? = nil, termsMax: Int = ImportLimits.termsMax,
        _ build: (inout ONNXBuilder) -> Void
    ) -> String {
        do throws(ArtifactError) {
            _ = try ranker(version: version, batch: batch, termsMax: termsMax, build)
            return "accepted"
        } catch {
            return error.fault
        }
    }

    @Test func `what no network here does is refused in words`() {
        func same(_ graph: inout ONNXBuilder) { graph.node("Identity", ["plain"], ["score"]) }
        #expect(fault(version: 9, same).contains("opset_version from 11 to 21"))
        #expect(fault(version: 23, same).contains("version 23 of ONNX's operators"))
        #expect(fault(batch: 32, same).contains("\"ids\" has 32 rows; export the model with one row"))
        for (words, build) in [
            (
                "the node Softplus: this operator cannot be read; where it cannot be avoided, save the weights",
                { $0.node("Softplus", ["plain"], ["score"]) }
            ),
            (
                "the node Relu: this operator cannot be read",
                { $0.node("Relu", ["plain"], ["score"], domain: "com.acme") }
            ),
            (
                "a layer of a row depends on other rows of the batch",
                {
                    $0.constant("rows_axis", ints: [0])
                    $0.node("ReduceSum", ["plain", "rows_axis"], ["all"])
                    $0.node("Sub", ["plain", "all"], ["rest"])
                    $0.node("Relu", ["rest"], ["score"])
                }
            ),
            (
                "products of more than two features",
                {
                    $0.node("Mul", ["plain", "plain"], ["square"])
                    $0.node("Mul", ["square", "plain"], ["score"])
                }
            ),
            (
                "(the number \"x\" by the number \"x\")",
                {
                    $0.node("Mul", ["x", "x"], ["square"])
                    $0.node("MatMul", ["square", "ones"], ["score"])
                }
            ),
            (
                "the number \"x\"",
                {
                    $0.node("Mul", ["sum", "linear_column"], ["score"])
                }
            ),
            (
                "its layers take products of features",
                {
                    $0.node("Mul", ["plain", "plain"], ["square"])
                    $0.node("Relu", ["square"], ["score"])
                }
            ),
            (
                "a layer takes outputs of features and of a layer together",
                {
                    $0.node("Relu", ["plain"], ["h"])
                    $0.node("Add", ["h", "plain"], ["residual"])
                    $0.node("Relu", ["residual"], ["score"])
                }
            ),
            (
                "the score takes outputs of several layers",
                {
                    $0.node("Relu", ["plain"], ["h"])
                    $0.constant("minus", [1], [-1])
                    $0.node("Add", ["h", "minus"], ["less"])
                    $0.node("Relu", ["less"], ["g"])
                    $0.node("Add", ["h", "g"], ["score"])
                }
            ),
            (
                "a layer takes a sigmoid",
                {
                    $0.node("Sigmoid", ["plain"], ["h"])
                    $0.node("Relu", ["h"], ["score"])
                }
            ),
            (
                "the table row of \"a\" as a number",
                {
                    $0.node("Cast", ["ids"], ["codes"], ["to": .int(1)])
                    $0.node("MatMul", ["codes", "ones"], ["score"])
                }
            ),
            ("it computes with table rows", { $0.node("Mul", ["ids", "offsets"], ["score"]) }),
            (
                "not each pair of fields once and alike",
                {
                    // The first column of one field by the second of the other.
                    $0.node("Split", ["e"], ["p", "q"], ["axis": .int(2)])
                    $0.constant("0", ints: [0], shape: [])
                    $0.constant("1", ints: [1], shape: [])
                    $0.node("Gather", ["p", "0"], ["pa"], ["axis": .int(1)])
                    $0.node("Gather", ["q", "1"], ["qb"], ["axis": .int(1)])
                    $0.node("Gather", ["p", "1"], ["pb"], ["axis": .int(1)])
                    $0.node("Gather", ["q", "0"], ["qa"], ["axis": .int(1)])
                    $0.node("Mul", ["pa", "qb"], ["one"])
                    $0.node("Mul", ["pb", "qa"], ["other"])
                    $0.node("Add", ["one", "other"], ["score"])
                }
            ),
            (
                "its output has the shape [2, 3] for 2 rows",
                { $0.node("Concat", ["x", "plain"], ["score"], ["axis": .int(1)]) }
            ),
            (
                "its two scores are no probabilities",
                {
                    $0.node("Concat", ["plain", "sum"], ["score"], ["axis": .int(1)])
                }
            ),
            (
                "a network that cannot be: no part",
                {
                    $0.node("Sub", ["plain", "plain"], ["score"])
                }
            ),
            (
                "its input \"later\" is made by no node before it",
                {
                    $0.node("Relu", ["later"], ["score"])
                    $0.node("Relu", ["plain"], ["later"])
                }
            ),
            (
                "\"w\" is kept in another file (\"w.bin\")",
                {
                    $0.external("w", [1, 1], file: "w.bin")
                    $0.node("MatMul", ["plain", "w"], ["score"])
                }
            ),
            (
                "it clips to -1.0...inf",
                {
                    $0.constant("low", [], [-1])
                    $0.node("Clip", ["plain", "low"], ["score"])
                }
            ),
            (
                "holds nan",
                {
                    $0.constant("nothing", [1], [.nan])
                    $0.node("Mul", ["plain", "nothing"], ["score"])
                }
            ),
            (
                "at most 4194304 elements",
                {
                    $0.constant("huge", ints: [1 << 21, 2, 2])
                    $0.node("Expand", ["x", "huge"], ["score"])
                }
            ),
        ] as [(String, (inout ONNXBuilder) -> Void)] {
            let said = fault(build)
            #expect(said.contains(words), "\(said)")
        }
    }

    @Test func `a graph that grows without end is stopped`() {
        let doubled = fault {
            var name = "plain"
            for step in 0..<40 {
                $0.node("Concat", [name, name], ["\(step)"], ["axis": .int(1)])
                name = "\(step)"
            }
            $0.node("Identity", [name], ["score"])
        }
        #expect(doubled.contains("at most 4194304") || doubled.contains("terms"), "\(doubled)")
        let deep = fault(termsMax: 50_000) {
            $0.constant("weights", [2, 64], [Float](repeating: 1, count: 128))
            $0.constant("next", [64, 64], [Float](repeating: 1, count: 4096))
            $0.node("MatMul", ["x", "weights"], ["0"])
            for layer in 0..<8 {
                $0.node("Relu", ["\(layer)"], ["h\(layer)"])
                $0.node("MatMul", ["h\(layer)", "next"], ["\(layer + 1)"])
            }
            $0.node("Identity", ["8"], ["score"])
        }
        #expect(deep.contains("its sums have more than 50000 terms"), "\(deep)")
    }

    @Test func `graphs put together by chance never crash`() {
        let seed = UInt64.random(in: 0..<1 << 32)
        print("seed \(seed)")
        var random = SeededGenerator(seed: seed)
        let numbers = [-3, -2, -1, 0, 1, 2, 3, 4, 7, 1 << 31, 1 << 40, .max, .min]
        func number() -> Int {
            numbers[Int.random(in: 0..<(Bool.random(using: &random) ? 8 : numbers.count), using: &random)]
        }
        let attributes = [
            "axis", "axes", "perm", "keepdims", "to", "transA", "transB", "start", "end", "allowzero", "batch_dims",
            "split",
            "noop_with_empty_axes", "coefficients", "intercepts", "scale", "offset", "epsilon", "alpha", "beta",
            "value_ints",
            "value_floats", "value_int", "min", "max", "equation",
        ]
        let lists: Set = ["axes", "perm", "split", "value_ints"]
        let floats: Set = ["coefficients", "intercepts", "scale", "offset", "value_floats"]
        let single: Set = ["epsilon", "alpha", "beta", "min", "max"]
        let classical: Set = [
            "ArrayFeatureExtractor", "LinearClassifier", "LinearRegressor", "Normalizer", "Scaler", "ZipMap",
        ]
        var done = 0
        for _ in 0..<3000 {
            let said = fault(version: Int.random(in: 11...21, using: &random), termsMax: 20_000) { graph in
                var names = [
                    "plain", "e", "ids", "rows", "x", "sum", "linear", "table", "offsets", "column", "axes", "ones",
                ]
                for place in 0..<3 {
                    let values = (0..<Int.random(in: 0...4, using: &random)).map { _ in number() }
                    graph.constant("i\(place)", ints: values)
                    names.append("i\(place)")
                }
                graph.constant("f", [2, 0, 3], [])
                graph.constant("g", [1, 2, 1, 2], [1, 0, -1, .infinity])
                names += ["f", "g"]
                for place in 0..<Int.random(in: 1...6, using: &random) {
                    let type = GraphEvaluator.operators.randomElement(using: &random) ?? "Add"
                    let inputs = (0..<Int.random(in: 1...5, using: &random)).map { _ in
                        // The newest the most often, so that operators stand on one another.
                        Int.random(in: 0..<3, using: &random) == 0
                            ? names[names.count - 1] : names.randomElement(using: &random) ?? ""
                    }
                    var chosen: [String: ONNXBuilder.Attribute] = [:]
                    for _ in 0..<Int.random(in: 0...3, using: &random) {
                        let name = attributes.randomElement(using: &random) ?? "axis"
                        let count = Int.random(in: 0...4, using: &random)
                        chosen[name] =
                            lists.contains(name)
                            ? .ints((0..<count).map { _ in number() })
                            : floats.contains(name)
                                ? .floats((0..<count).map { _ in Float(number()) })
                                : single.contains(name)
                                    ? .float(Float(number()))
                                    : name == "equation"
                                        ? .text(
                                            ["ab,ab->a", "ab,cb->ac", "abc->cb", "aab->b", "ab,cb->acd", "ij,jk->ik"]
                                                .randomElement(using: &random) ?? "")
                                        : .int(number())
                    }
                    graph.node(
                        type, inputs, ["n\(place)", "m\(place)"], chosen,
                        domain: classical.contains(type) ? "ai.onnx.ml" : "")
                    names += ["n\(place)"]
                }
                graph.node("ReduceSum", [names[names.count - 1]], ["score"], ["keepdims": .int(0)])
            }
            if said == "accepted" || !said.hasPrefix("the node") { done += 1 }
        }
        // Some get past all their nodes.
        #expect(done > 0)
    }
}
