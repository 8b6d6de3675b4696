import ArgumentParser
import Foundation
import Telemetry

/// Where the program begins and ends.
@main
enum Program {
    static func main() async {
        if let fault = RawArguments.fault() {
            StandardError.write("Error: \(fault)\n")
            exit(ExitCode.validationFailure.rawValue)
        }
        await Martlet.main()
        // What was printed may still wait in a buffer: a full disk must not look like success.
        if fflush(nil) != 0 {
            StandardError.write("martlet: the output could not be written: \(String(cString: strerror(errno)))\n")
            exit(1)
        }
    }
}

/// One binary: trains, evaluates, serves and asks.
struct Martlet: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "martlet",
        abstract: "Recommendations: from a file of interactions to answers over the wire.",
        version: BuildInfo.version,
        subcommands: [
            TrainCommand.self, RankerCommand.self,
            EvaluateCommand.self,
            SampleCommand.self,
            ServeCommand.self, PlanCommand.self,
            ModelCommand.self,
            RecommendCommand.self,
            RankCommand.self,
            SimilarCommand.self,
            ItemsCommand.self,
            HealthCommand.self,
            TopCommand.self,
            ModelsCommand.self,
            IngestCommand.self,
            LogCommand.self,
        ])
}
