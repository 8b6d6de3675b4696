import ArgumentParser

/// One binary: trains, evaluates, serves and asks.
@main
struct Martlet: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "martlet",
        abstract: "Recommendations: from a file of interactions to answers over the wire.",
        subcommands: [
            TrainCommand.self,
            EvaluateCommand.self,
            SampleCommand.self,
            ServeCommand.self,
            ModelCommand.self,
            RecommendCommand.self,
            SimilarCommand.self,
            HealthCommand.self,
            ModelsCommand.self,
        ])
}
