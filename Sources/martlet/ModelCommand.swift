import ArgumentParser
import Artifacts
import CandidateRanking
import Catalog
import RankingModels
import Retrieval

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// Looks after models on disk.
struct ModelCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "model",
        abstract: "Look at models on disk.",
        subcommands: [ModelInspectCommand.self, ModelUsersCommand.self])
}

/// Shows what a bundle holds and whether it is sound.
struct ModelInspectCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect",
        abstract: "Show what a bundle holds and whether it is sound.",
        discussion: """
            Every file is compared with the size and SHA-256 that the manifest gives, and the contents are checked as when \
            serving. The exit code is 1 when something is wrong.
            """)

    @Argument(help: "The bundle's folder.", completion: .directory)
    var bundle: String
    @Flag(help: "Print JSON.")
    var json = false
    @Flag(name: .customLong("no-verify"), help: "Compare sizes only, not checksums.")
    var skipsChecksums = false
    @Flag(help: "List the tensors of each file.")
    var tensors = false

    func validate() throws { try ArgumentCheck.path(bundle, "the bundle") }

    /// Nil where the bundle has none; one that cannot be read is told of by the check that follows.
    private func rankerSummary() -> RankerSummary? {
        guard let opened = try? Bundle(opening: bundle, verify: .sizes), opened.has(RankerArtifact.fileName),
            let file = try? opened.file(RankerArtifact.fileName), let ranker = try? RankerArtifact(file)
        else { return nil }
        return RankerSummary(ranker, path: file.path, fileBytes: file.fileBytes)
    }

    func run() throws {
        let summary: ModelSummary
        do throws(ArtifactError) {
            summary = try ModelSummary(of: bundle, verify: skipsChecksums ? .sizes : .full)
        } catch {
            StandardError.write("Error: \(error)\n")
            throw ExitCode(1)
        }
        let ranker = rankerSummary()
        if json {
            var members = summary.json.objectValue ?? [:]
            if let ranker { members["ranker"] = ranker.json(items: summary.inspection.manifest.counts.items) }
            print(JSONText.print(.object(members), indented: true))
        } else {
            print(summary.table(showsTensors: tensors))
            if let ranker {
                print("\nranker\n\(ranker.section(summary.inspection.manifest))")
            }
        }
        let note = summary.faults.isEmpty ? try? RankerNote(bundle: bundle) : nil
        for warning in note?.warnings ?? [] { StandardError.write("Warning: \(warning)\n") }
        for fault in summary.faults { StandardError.write("Error: \(fault)\n") }
        if !summary.faults.isEmpty { throw ExitCode(1) }
        do {
            // Every file may be sound and belong to another bundle: a load finds out.
            var options = RetrievalModel.Options(index: .scan)
            options.keepsGraphs = true
            let opened = try Bundle(opening: bundle, verify: .sizes)
            let model = try RetrievalModel(bundle: opened, options: options)
            if opened.has(RankerArtifact.fileName) {
                let file = try opened.file(RankerArtifact.fileName)
                _ = try FeaturePlan(RankerArtifact(file).schema, model, path: file.path)
            }
        } catch {
            StandardError.write("Error: \(error)\n")
            throw ExitCode(1)
        }
    }
}
