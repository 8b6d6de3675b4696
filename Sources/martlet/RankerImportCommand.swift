import ArgumentParser
import Artifacts
import Features
import Foundation
import RankingModels
import Training

/// `martlet ranker import`
struct RankerImportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import",
        abstract: "Turn a network or trees that were trained elsewhere into a ranker's file.",
        discussion: """
            Takes weights that PyTorch trained (safetensors of a state dictionary), an ONNX file, or a model that LightGBM or \
            XGBoost saved, and the schema of the features that it takes. docs/ranker-import.md has names, shapes, operators \
            and an example; docs/ranking-trees.md has the way of trees.
            """)

    @Option(help: "safetensors file of a state dictionary (F32, F16 or BF16).")
    var weights: String?
    @Option(help: "ONNX file of a network.")
    var onnx: String?
    @Option(help: "Trees that LightGBM saved as text, or XGBoost as JSON or UBJSON.")
    var trees: String?
    @Option(help: "The schema of the features, JSON.")
    var features: String
    @Option(help: "The file to write, such as ranker.safetensors; it must not exist yet.")
    var output: String
    @Option(help: "Labelled examples that the ranker is measured with, before it is written.")
    var test: String?
    @OptionGroup(title: "Weights") var state: StateArguments
    @Option(help: "The ONNX output that holds the score (default: the only one of floats).")
    var onnxOutput: String?
    @OptionGroup(title: "Reading") var reading: LabelArguments

    func validate() throws {
        guard [weights, onnx, trees].compactMap({ $0 }).count == 1 else {
            throw ValidationError("name a model, with one of --weights, --onnx and --trees")
        }
        let paths = [
            (weights, "--weights"), (onnx, "--onnx"), (trees, "--trees"), (features, "--features"),
            (output, "--output"), (test, "--test"),
            (state.names, "--names"),
        ]
        for (path, flag) in paths { try ArgumentCheck.path(path, flag) }
        if onnxOutput != nil, onnx == nil { throw ValidationError("--onnx-output has no effect without --onnx") }
        if weights != nil {
            guard state.ranker != nil else {
                let names = ImportedNetwork.allCases.map(\.rawValue).joined(separator: ", ")
                throw ValidationError("weights do not tell what they make: say --ranker, one of \(names)")
            }
        } else if let flag = state.given.first {
            throw ValidationError(
                "\(flag) has no effect with \(onnx == nil ? "--trees" : "--onnx"), which says it itself")
        }
    }

    func run() throws {
        try LongCommand.run(unfinished: "no ranker was written") { _ in
            for case let path? in [weights, onnx, trees, features, state.names, test] {
                try FileSystem.checkReadable(path)
            }
            try RankerFile.check(output)
            let schema = try ImportFiles.schema(features)
            var ranker: RankerArtifact
            if let trees {
                let file = try WholeFile.read(trees, bytesMax: TreeLimits.fileBytesMax)
                ranker = .trees(try TreeRanker(schema: schema, file: file, path: trees))
            } else if let onnx {
                ranker = .network(try ONNXImport.ranker(onnx, schema: schema, output: onnxOutput))
            } else {
                ranker = .network(try StateImport.ranker(weights ?? "", schema: schema, try state.options()))
            }
            ranker.candidates = try ImportFiles.candidates(features)
            if let test {
                let rows = try ExampleReader(schema, reading.options).read(test)
                let model = ranker.model
                let scores = RankerScores.all(
                    model, rows.rows, threads: ProcessInfo.processInfo.activeProcessorCount)
                print("\(test): \(model.line(scores, rows.labels))")
            }
            try RankerFile.write(ranker, to: output)
            print("\(output): \(ranker.words), features \(schema.hash.prefix(12))")
        }
    }
}

/// What a state dictionary does not tell.
struct StateArguments: ParsableArguments {
    @Option(help: "What the weights make: deepfm, wide-deep (no pairs), mlp, fm or lr.")
    var ranker: ImportedNetwork?
    @Option(
        help:
            "JSON object of new names by the file's names; null leaves a tensor out, a name with a point at its end stands for all that begin so."
    )
    var names: String?
    @Option(help: "Whether batch norms stand before or after the rectifiers (default: as the modules' numbers say).")
    var batchNorm: StateImportOptions.BatchNormPlace?
    @Option(parsing: .unconditional, help: "The epsilon of the batch norms (default: 1e-5).")
    var batchNormEpsilon: Double?
    @Flag(help: "The layers' input begins with the numbers instead of the embeddings.")
    var denseFirst = false

    func validate() throws { try ArgumentCheck.range(batchNormEpsilon, "--batch-norm-epsilon", 0...1) }

    /// Flags that were given.
    var given: [String] {
        [
            ("--ranker", ranker != nil), ("--names", names != nil), ("--batch-norm", batchNorm != nil),
            ("--batch-norm-epsilon", batchNormEpsilon != nil), ("--dense-first", denseFirst),
        ].filter(\.1).map(\.0)
    }

    func options() throws -> StateImportOptions {
        var options = StateImportOptions(ranker ?? .deepfm)
        options.batchNorm = batchNorm
        options.batchNormEpsilon = batchNormEpsilon ?? options.batchNormEpsilon
        options.isDenseFirst = denseFirst
        if let names { options.names = try ImportFiles.names(names) }
        return options
    }
}

extension ImportedNetwork: ExpressibleByArgument {}
extension StateImportOptions.BatchNormPlace: ExpressibleByArgument {}
