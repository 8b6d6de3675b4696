import ArgumentParser
import Artifacts
import Features
import RankingModels

/// `martlet ranker inspect`
struct RankerInspectCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect",
        abstract: "Show what a ranker's file holds: its network or trees, its features, its size.")

    @Argument(help: "The ranker's file.", completion: .file())
    var file: String
    @Flag(help: "Print JSON.")
    var json = false

    func validate() throws { try ArgumentCheck.path(file, "the file") }

    func run() throws {
        do throws(ArtifactError) {
            let tensors = try TensorFile(path: file)
            let summary = RankerSummary(try RankerArtifact(tensors), path: file, fileBytes: tensors.fileBytes)
            print(json ? JSONText.print(summary.json, indented: true) : summary.table)
        } catch {
            StandardError.write("Error: \(error)\n")
            throw ExitCode(1)
        }
    }
}
