import ArgumentParser
import FactorModels
import Foundation
import Training
import Vocabulary

/// What to fit: the flags that `train` and `evaluate --input` share.
struct TrainingArguments: ParsableArguments {
    @Option(parsing: .unconditional, help: "Dimensions of the ALS factors, 1 to 512.")
    var rank: Int?
    @Option(parsing: .unconditional, help: "Passes of ALS over the data, 1 to 1000.")
    var iterations: Int?
    @Option(parsing: .unconditional, help: "Strength of the ALS regularisation, above 0.")
    var regularization: Float?
    @Option(parsing: .unconditional, help: "Weight of the pairs without an interaction in ALS, above 0.")
    var unobservedWeight: Float?
    @Option(parsing: .unconditional, help: "Dimensions of the spectral factors, 1 to 512.")
    var spectralRank: Int?
    @Option(help: "Factor models to fit: als, spectral, or both with a comma between (default: als).")
    var factors: String?
    @Option(
        help: ArgumentHelp(
            "Sources to weigh beside the usual ones: content, user_to_user, or both with a comma between.",
            discussion: """
                They take part where the mix is weighed (--tune, --valid) and in `evaluate`, and a node then makes what they \
                search at load: the items by tags and attributes; the users by their factors.
                """))
    var sources: String?
    @Option(help: "What makes an interaction weigh more in the fit: equal (nothing; the default), value, or count.")
    var confidence: TrainingPlan.Confidence?
    @Option(
        name: .customLong("seed"), parsing: .unconditional,
        help: ArgumentHelp(
            "Number that decides all chance, 0 or more (default: 1).",
            discussion: """
                Equal input, settings and seed give an equal model whatever --threads, but for the graphs that search it \
                (*.hnsw.safetensors): with more than one thread some of their links vary from run to run.
                """))
    var givenSeed: UInt64?
    @Option(parsing: .unconditional, help: "Threads to use, 1 to 1024 (default: one for each core).")
    var threads: Int?

    var seed: UInt64 { givenSeed ?? 1 }

    /// The first flag given that is of use to a fit alone.
    var flagOfFit: String? {
        let flags: [(String, Bool)] = [
            ("--rank", rank != nil), ("--iterations", iterations != nil), ("--regularization", regularization != nil),
            ("--unobserved-weight", unobservedWeight != nil), ("--spectral-rank", spectralRank != nil),
            ("--factors", factors != nil), ("--confidence", confidence != nil), ("--seed", givenSeed != nil),
        ]
        return flags.first(where: \.1)?.0
    }

    func validate() throws {
        let kinds = try kinds()
        _ = try extraSources()
        let ofALS: [(String, Bool)] = [
            ("--rank", rank != nil), ("--iterations", iterations != nil), ("--regularization", regularization != nil),
            ("--unobserved-weight", unobservedWeight != nil),
        ]
        if !kinds.contains(.als), let flag = ofALS.first(where: \.1)?.0 {
            throw ValidationError("\(flag) has no effect without als in --factors")
        }
        if !kinds.contains(.spectral), spectralRank != nil {
            throw ValidationError(
                "--spectral-rank has no effect without spectral in --factors; add --factors als,spectral")
        }
    }

    /// The factor models of `--factors`.
    private func kinds() throws -> Set<FactorKind> {
        let factors = factors ?? "als"
        var kinds: Set<FactorKind> = []
        for name in factors.split(separator: ",", omittingEmptySubsequences: false) {
            let name = name.filter { $0 != " " }
            guard !name.isEmpty else {
                throw ValidationError("--factors '\(factors)' names nothing; there are als and spectral")
            }
            guard let kind = FactorKind(rawValue: name) else {
                throw ValidationError("--factors names '\(name)'; there are als and spectral")
            }
            guard kinds.insert(kind).inserted else { throw ValidationError("--factors names '\(name)' twice") }
        }
        return kinds
    }

    /// The sources of `--sources`.
    func extraSources() throws -> Set<RetrievalSource> {
        guard let sources else { return [] }
        var extra: Set<RetrievalSource> = []
        for name in sources.split(separator: ",", omittingEmptySubsequences: false) {
            let name = name.filter { $0 != " " }
            guard let source = RetrievalSource(rawValue: name), [.content, .userToUser].contains(source) else {
                throw ValidationError(
                    "--sources names '\(name)'; there are content and user_to_user, the others are weighed anyway")
            }
            guard extra.insert(source).inserted else { throw ValidationError("--sources names '\(name)' twice") }
        }
        return extra
    }

    /// The plan that the flags describe.
    func plan() throws -> TrainingPlan {
        var plan = TrainingPlan()
        plan.seed = seed
        plan.threads = try threadCount()
        plan.confidence = confidence ?? .equal
        plan.extraSources = try extraSources()
        let kinds = try kinds()
        plan.als = kinds.contains(.als) ? try alsConfiguration() : nil
        plan.spectral = kinds.contains(.spectral) ? try spectralConfiguration() : nil
        return plan
    }

    func threadCount() throws -> Int {
        let threads = threads ?? ProcessInfo.processInfo.activeProcessorCount
        try ArgumentCheck.range(threads, "--threads", 1...1024)
        return threads
    }

    private func alsConfiguration() throws -> ALSConfiguration {
        var configuration = ALSConfiguration()
        if let rank { configuration.rank = rank }
        if let iterations { configuration.iterations = iterations }
        if let regularization { configuration.regularization = regularization }
        if let unobservedWeight { configuration.unobservedWeight = unobservedWeight }
        configuration.seed = seed
        try configuration.validate()
        return configuration
    }

    private func spectralConfiguration() throws -> SpectralConfiguration {
        var configuration = SpectralConfiguration()
        if let spectralRank { configuration.rank = spectralRank }
        configuration.seed = seed
        try configuration.validate()
        return configuration
    }
}

extension TrainingPlan.Confidence: ExpressibleByArgument {}

/// Shows the events of a training: a bar for the step under way, a line for each that is over.
final class TrainingProgress: @unchecked Sendable {
    // Sendable: events come from the threads of a fit, one after the other under the lock.
    private let lock = NSLock()
    private var line: ProgressLine?
    private var step = ""

    func show(_ event: TrainingEvent) {
        lock.withLock {
            switch event {
            case .progress(let step, let fraction, let detail):
                line(for: step).update(fraction, detail)
            case .finished(let step, let summary):
                line(for: step).finish(summary)
                line = nil
            }
        }
    }

    /// Takes the bar away after a failure.
    func clear() { lock.withLock { line?.clear() } }

    private func line(for step: String) -> ProgressLine {
        if let line, self.step == step { return line }
        let new = ProgressLine(step)
        line = new
        self.step = step
        return new
    }
}
