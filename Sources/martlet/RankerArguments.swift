import ArgumentParser
import Features
import RankingModels
import Training

/// How to read labelled examples.
struct ExampleArguments: ParsableArguments {
    @Option(help: "Format of the examples: \(ExampleFormat.names) (default: by the file's name, else libfm).")
    var exampleFormat: ExampleFormat?
    @Option(help: "The column that holds the label.")
    var label = "label"
    @Option(parsing: .unconditional, help: "Labels above this are positive.")
    var positiveAbove = 0.0
    @Option(help: "Columns that are categorical whatever they look like, with commas between.")
    var categorical: String?
    @Option(help: "Columns that are numbers however few they are, with commas between.")
    var dense: String?
    @Option(help: "Columns to leave out, with commas between.")
    var ignore: String?
    @Option(help: "How numbers are normalised: none, standard, log or quantile.")
    var normalise = Normalisation.Form.quantile
    @Option(parsing: .unconditional, help: "Values with fewer examples count as unknown, 1 or more.")
    var minCount = 1

    func validate() throws {
        try ArgumentCheck.range(minCount, "--min-count", 1...1_000_000)
    }

    var options: ExampleOptions {
        func names(_ text: String?) -> Set<String> {
            Set((text ?? "").split(separator: ",").map { String($0) })
        }
        var options = ExampleOptions()
        options.format = exampleFormat
        options.label = label
        options.positiveAbove = positiveAbove
        options.categorical = names(categorical)
        options.dense = names(dense)
        options.ignored = names(ignore)
        options.normalisation = normalise
        options.minCount = minCount
        return options
    }
}

/// Which network, and how it is fitted.
struct NetworkArguments: ParsableArguments {
    /// The networks by the names that people know.
    enum Kind: String, CaseIterable, ExpressibleByArgument {
        case deepfm, mlp, fm, lr
    }

    @Option(help: "deepfm, mlp (no pairs), fm (factorization machine) or lr (logistic regression).")
    var ranker = Kind.deepfm
    @Option(parsing: .unconditional, help: "Floats of an embedding, 1 to 256.")
    var embeddingWidth = 16
    @Option(help: "Outputs of the layers, with commas between.")
    var hidden = "400,400,400"
    @Option(parsing: .unconditional, help: "Passes over the examples at most.")
    var epochs = 30
    @Option(parsing: .unconditional, help: "Examples of one step.")
    var batchRows = 1024
    @Option(parsing: .unconditional, help: "Length of a step (Adam).")
    var learningRate = 1e-3
    @Option(parsing: .unconditional, help: "Decay of layers and linear weights.")
    var weightDecay = 0.0
    @Option(parsing: .unconditional, help: "Decay of embeddings.")
    var embeddingDecay = 0.0
    @Option(parsing: .unconditional, help: "Share of a layer's outputs that a step leaves out, 0 or more and below 1.")
    var dropout = 0.2
    @Option(parsing: .unconditional, help: "Epochs without a better AUC after which fitting stops.")
    var patience = 2

    func validate() throws { _ = try layers() }

    private func layers() throws -> [Int] {
        try hidden.split(separator: ",").map { part in
            guard let width = Int(part), width > 0 else {
                throw ValidationError("--hidden names '\(part)'; whole numbers with commas between are wanted")
            }
            return width
        }
    }

    func configuration(_ seed: UInt64) -> NetworkConfiguration {
        let isDeep = ranker == .deepfm || ranker == .mlp
        let hasPairs = ranker == .deepfm || ranker == .fm
        var configuration = NetworkConfiguration(
            shape: NetworkShape(
                embeddingWidth: isDeep || hasPairs ? embeddingWidth : 0,
                hidden: isDeep ? (try? layers()) ?? [] : [], hasLinear: ranker != .mlp, hasPairs: hasPairs))
        configuration.epochs = epochs
        configuration.batchRows = batchRows
        configuration.learningRate = learningRate
        configuration.weightDecay = weightDecay
        configuration.embeddingDecay = embeddingDecay
        configuration.dropout = isDeep ? dropout : 0
        configuration.patience = patience
        configuration.seed = seed
        return configuration
    }
}

extension ExampleFormat: ExpressibleByArgument {}
extension Normalisation.Form: ExpressibleByArgument {}
