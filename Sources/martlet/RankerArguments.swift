import ArgumentParser
import Features
import RankingModels
import Training

/// How to read labelled examples for a ranker that is there, whose file says what becomes of each column.
struct LabelArguments: ParsableArguments {
    @Option(help: "Format of the examples: \(ExampleFormat.names) (default: by the file's name, else libfm).")
    var exampleFormat: ExampleFormat?
    @Option(help: "The column that holds the label.")
    var label = "label"
    @Option(parsing: .unconditional, help: "Labels above this are positive.")
    var positiveAbove = 0.0

    var options: ExampleOptions {
        var options = ExampleOptions()
        options.format = exampleFormat
        options.label = label
        options.positiveAbove = positiveAbove
        return options
    }
}

/// How to read labelled examples and what becomes of their columns.
struct ExampleArguments: ParsableArguments {
    @OptionGroup(title: "Reading") var labels: LabelArguments
    @Option(help: "Columns that are categorical whatever they look like, with commas between.")
    var categorical: String?
    @Option(help: "Columns that are numbers however few they are, with commas between.")
    var dense: String?
    @Option(help: "Columns to leave out, with commas between.")
    var ignore: String?
    @Option(help: "How numbers are normalised: none, standard, log or quantile.")
    var normalise = Normalisation.Form.quantile
    @Option(parsing: .unconditional, help: "Values with fewer examples count as unknown, 1 or more.")
    var minCount = 2

    func validate() throws {
        try ArgumentCheck.range(minCount, "--min-count", 1...1_000_000)
    }

    var options: ExampleOptions {
        func names(_ text: String?) -> Set<String> {
            Set((text ?? "").split(separator: ",").map { String($0) })
        }
        var options = labels.options
        options.categorical = names(categorical)
        options.dense = names(dense)
        options.ignored = names(ignore)
        options.normalisation = normalise
        options.minCount = minCount
        return options
    }
}

/// The ranker of a bundle.
struct RankingArguments: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Also fit a ranker of the candidates: deepfm, mlp, fm or lr.",
            discussion:
                "It learns from what users chose later (a random part of each user's choices without times), among the candidates that the rest finds."
        ))
    var ranker: NetworkArguments.Kind?
    @Option(help: "Take the ranker of this file, as martlet ranker train or import writes it, in place of fitting one.")
    var rankerFile: String?
    @Option(
        parsing: .unconditional,
        help: "Candidates that are ranked, 1 to 2000 (default: 200; with --ranker-file what it was fitted with).")
    var rankCandidates: Int?
    @Option(help: "Layers of the ranker, with commas between (default: 128,64).")
    var rankerHidden: String?
    @Option(
        help:
            "What the ranker makes small: softmax or lambdarank, of each user's candidates together, or logistic, of each candidate alone (default: logistic)."
    )
    var rankerLoss: NetworkLoss?
    @Option(
        help: ArgumentHelp(
            "As of when the ranker learns and is judged: none, when the model was made; history, at the moment of a later choice, with what the user did by then; features, the same with features of what the user did lately (default: none).",
            discussion: "history and features need times."))
    var rankerLive: RankerLive?
    @Flag(help: "Give each item an embedding of its own; for items whose appeal does not change with the weeks.")
    var rankerItemIds = false
    @Flag(help: "Publish the ranker even if it is not shown to rank better than retrieval.")
    var forceRanker = false

    func validate() throws {
        if rankerFile != nil, ranker != nil {
            throw ValidationError("give one of --ranker, which fits a ranker, and --ranker-file, which takes one")
        }
        try ArgumentCheck.path(rankerFile, "--ranker-file")
        let ofFit = [
            ("--ranker-hidden", rankerHidden != nil), ("--ranker-loss", rankerLoss != nil),
            ("--ranker-item-ids", rankerItemIds), ("--ranker-live features", rankerLive == .features),
        ]
        if rankerFile != nil, let flag = ofFit.first(where: \.1)?.0 {
            throw ValidationError("\(flag) has no effect with --ranker-file")
        }
        if ranker == nil, rankerFile == nil {
            let flags =
                [
                    ("--rank-candidates", rankCandidates != nil), ("--force-ranker", forceRanker),
                    ("--ranker-live", rankerLive != nil),
                ] + ofFit
            if let flag = flags.first(where: \.1)?.0 {
                throw ValidationError("\(flag) has no effect without --ranker")
            }
        }
        if let rankerHidden {
            _ = try NetworkArguments.layers(rankerHidden)
            if let ranker, !ranker.isDeep {
                throw ValidationError("--ranker-hidden has no effect with \(ranker.rawValue), which has no layers")
            }
        }
        if let fault = plan(1)?.fault() { throw ValidationError("this ranker cannot be fitted: \(fault)") }
    }

    func plan(_ seed: UInt64) -> RankerPlan? {
        // What fits a network is not looked at where one is taken from a file.
        guard let ranker = ranker ?? (rankerFile == nil ? nil : .deepfm) else { return nil }
        var network = NetworkConfiguration(
            shape: ranker.shape(
                embeddingWidth: 16, hidden: (try? NetworkArguments.layers(rankerHidden ?? "128,64")) ?? []))
        network.learningRate = 1e-3
        network.dropout = network.shape.isDeep ? 0.2 : 0
        network.seed = seed
        network.loss = rankerLoss ?? .logistic
        var plan = RankerPlan(network: network)
        if let rankCandidates { plan.candidates = rankCandidates }
        plan.hasItemIDs = rankerItemIds
        plan.live = rankerLive ?? .none
        plan.force = forceRanker
        return plan
    }
}

/// Which network, and how it is fitted.
struct NetworkArguments: ParsableArguments {
    /// The networks by the names that people know.
    enum Kind: String, CaseIterable, ExpressibleByArgument {
        case deepfm, mlp, fm, lr

        var isDeep: Bool { self == .deepfm || self == .mlp }

        func shape(embeddingWidth: Int, hidden: [Int]) -> NetworkShape {
            let hasPairs = self == .deepfm || self == .fm
            return NetworkShape(
                embeddingWidth: isDeep || hasPairs ? embeddingWidth : 0, hidden: isDeep ? hidden : [],
                hasLinear: self != .mlp, hasPairs: hasPairs)
        }
    }

    @Option(help: "deepfm, mlp (no pairs), fm (factorization machine) or lr (logistic regression).")
    var ranker = Kind.deepfm
    @Option(parsing: .unconditional, help: "Floats of an embedding, 1 to 256 (default: 16).")
    var embeddingWidth: Int?
    @Option(help: "Outputs of the layers, with commas between (default: 128,64).")
    var hidden: String?
    @Option(parsing: .unconditional, help: "Passes over the examples at most.")
    var epochs = 100
    @Option(parsing: .unconditional, help: "Examples of one step.")
    var batchRows = 1024
    @Option(parsing: .unconditional, help: "Length of a step (Adam).")
    var learningRate = 3e-4
    @Option(parsing: .unconditional, help: "Decay of layers and linear weights.")
    var weightDecay = 0.0
    @Option(parsing: .unconditional, help: "Decay of embeddings.")
    var embeddingDecay = 0.0
    @Option(
        parsing: .unconditional,
        help: "Share of a layer's outputs that a step leaves out, 0 or more and below 1 (default: 0.2).")
    var dropout: Double?
    @Option(parsing: .unconditional, help: "Epochs without a better AUC after which fitting stops.")
    var patience = 5

    private var layers: String { hidden ?? "128,64" }

    func validate() throws {
        _ = try Self.layers(layers)
        let flags = [
            ("--hidden", hidden != nil && !ranker.isDeep, "layers"),
            ("--dropout", dropout != nil && !ranker.isDeep, "layers"),
            ("--embedding-width", embeddingWidth != nil && ranker == .lr, "embeddings"),
        ]
        if let flag = flags.first(where: \.1) {
            throw ValidationError("\(flag.0) has no effect with \(ranker.rawValue), which has no \(flag.2)")
        }
    }

    static func layers(_ hidden: String) throws -> [Int] {
        try hidden.split(separator: ",").map { part in
            guard let width = Int(part), width > 0 else {
                throw ValidationError("the layers name '\(part)'; whole numbers with commas between are wanted")
            }
            return width
        }
    }

    func configuration(_ seed: UInt64) -> NetworkConfiguration {
        let layers = (try? Self.layers(layers)) ?? []
        var configuration = NetworkConfiguration(
            shape: ranker.shape(embeddingWidth: embeddingWidth ?? 16, hidden: layers))
        configuration.epochs = epochs
        configuration.batchRows = batchRows
        configuration.learningRate = learningRate
        configuration.weightDecay = weightDecay
        configuration.embeddingDecay = embeddingDecay
        configuration.dropout = configuration.shape.isDeep ? dropout ?? 0.2 : 0
        configuration.patience = patience
        configuration.seed = seed
        return configuration
    }
}

extension ExampleFormat: ExpressibleByArgument {}
extension Normalisation.Form: ExpressibleByArgument {}
extension NetworkLoss: ExpressibleByArgument {}
extension RankerLive: ExpressibleByArgument {}
