import Artifacts
import CandidateRanking
import RankingModels
import Retrieval
import TestSupport
import Testing
import Training

@testable import martlet

/// Rankers in `martlet train` and `martlet evaluate`.
///
/// Everybody draws from the same popular items, whatever they had: the best order is that of popularity, which retrieval by
/// likeness misses and a ranker learns.
@Suite(.ownThreads) struct TrainRankerTests {
    private func write(_ folder: TemporaryFolder, users: Int = 400) throws {
        var random = SeededGenerator(seed: 21)
        var (training, test) = ("user,item\n", "user,item\n")
        for user in 0..<users {
            var items: Set<Int> = []
            while items.count < 14 {
                // The cube leans to small numbers.
                let unit = Double.random(in: 0..<1, using: &random)
                items.insert(Int(unit * unit * unit * 100))
            }
            for (n, item) in items.sorted().shuffled(using: &random).enumerated() {
                if n < 11 { training += "u\(user),i\(item)\n" } else { test += "u\(user),i\(item)\n" }
            }
        }
        try folder.write(Array(training.utf8), to: "pairs.csv")
        try folder.write(Array(test.utf8), to: "test.csv")
    }

    private func train(_ folder: TemporaryFolder, _ output: String, _ arguments: String...) throws -> Bundle {
        let path = folder.file(output)
        var command = try Martlet.parseAsRoot(
            [
                "train", "--input", folder.file("pairs.csv"), "--output", path, "--rank", "8", "--iterations", "3",
                "--threads", "2", "-k", "10",
            ] + arguments)
        try command.run()
        return try Bundle(opening: path)
    }

    private func served(_ folder: TemporaryFolder, _ bundle: String) throws -> Double {
        let interactions = try InteractionImporter().read(folder.file("test.csv")).interactions
        let report = try Rehearsal.evaluate(
            bundle: folder.file(bundle), test: interactions, name: "test", k: 10, threads: 2, sources: [],
            cancellation: Cancellation())
        return try #require(report[EvaluationReport.servedName]).ndcg
    }

    @Test func `a ranker that is better is published with what it was fitted with, and what is served is its order`()
        throws
    {
        let folder = try TemporaryFolder()
        try write(folder)
        let bundle = try train(folder, "ranked", "--ranker", "lr", "--rank-candidates", "60")
        let plain = try train(folder, "plain")
        #expect(bundle.has(NetworkRanker.fileName) && !plain.has(NetworkRanker.fileName))
        let ranker = try NetworkRanker(bundle.file(NetworkRanker.fileName))
        #expect(ranker.candidates?.count == 60)
        #expect(ranker.candidates?.sources == ["item_to_item", "als"])
        let (with, without) = (try served(folder, "ranked"), try served(folder, "plain"))
        #expect(with > without * 1.03, "\(with) and \(without)")
        let note = try #require(try RankerNote(bundle: folder.file("ranked")))
        #expect(note.warnings.isEmpty)
        let artifact = try bundle.file(RankerArtifact.fileName)
        let section = RankerSummary(try RankerArtifact(artifact), path: artifact.path, fileBytes: artifact.fileBytes)
            .section(bundle.manifest)
        #expect(section.contains("candidates   60 of each user, of item_to_item, als, when it was fitted or judged"))
        #expect(try RankerNote(bundle: folder.file("plain")) == nil)
        var evaluate = try Martlet.parseAsRoot([
            "evaluate", "--bundle", folder.file("ranked"), "--test", folder.file("test.csv"), "-k", "10", "--json",
        ])
        try evaluate.run()

        // The same ranker from a file is judged and taken as it is.
        let file = "\(bundle.path)/\(NetworkRanker.fileName).safetensors"
        let again = try train(folder, "again", "--ranker-file", file)
        let copy = try NetworkRanker(again.file(NetworkRanker.fileName))
        #expect(copy == ranker)
        #expect(abs(try served(folder, "again") - with) < 1e-9)

        // One that turns the order round is refused, and the bundle is as if nobody had asked.
        var bad = ranker
        bad.weights.denseLinear = bad.weights.denseLinear.map { -$0 }
        try RankerFile.write(.network(bad), to: folder.file("bad.safetensors"))
        let refused = try train(folder, "refused", "--ranker-file", folder.file("bad.safetensors"))
        #expect(!refused.has(NetworkRanker.fileName))
        #expect(try served(folder, "refused") == without)
        let told = try #require(refused.manifest.training["ranker"])
        #expect(told["published"] == .bool(false))
        #expect(told["difference"]?["mean"]?.doubleValue.map { $0 < 0 } == true)
        let forced = try train(
            folder, "forced", "--ranker-file", folder.file("bad.safetensors"), "--force-ranker")
        #expect(forced.has(NetworkRanker.fileName))
        #expect(try served(folder, "forced") < without)
    }

    @Test func `a ranker that too few users can judge is left out`() throws {
        let folder = try TemporaryFolder()
        try write(folder, users: 120)
        let bundle = try train(folder, "few", "--ranker", "lr")
        #expect(!bundle.has(NetworkRanker.fileName))
        #expect(try served(folder, "few") > 0)

        // So few that there is nothing to learn from at all.
        let handful = try TemporaryFolder()
        try write(handful, users: 15)
        let none = try train(handful, "none", "--ranker", "lr")
        #expect(!none.has(NetworkRanker.fileName))
        let told = try #require(none.manifest.training["ranker"])
        #expect(told["published"] == .bool(false))
        #expect(told["reason"]?.stringValue?.contains("20 are needed") == true)
        #expect(throws: (any Error).self) {
            _ = try train(handful, "forced", "--ranker", "lr", "--force-ranker")
        }
    }

    @Test func `flags of a fit go with a fit`() {
        func complaint(_ arguments: String...) -> String? {
            do {
                _ = try Martlet.parseAsRoot(["train", "--input", "i", "--output", "o"] + arguments)
                return nil
            } catch {
                return Martlet.message(for: error)
            }
        }
        #expect(complaint("--ranker", "lr", "--ranker-loss", "lambdarank", "--ranker-item-ids") == nil)
        #expect(complaint("--ranker-loss", "softmax")?.contains("--ranker-loss has no effect without --ranker") == true)
        #expect(
            complaint("--ranker-file", "f", "--ranker-item-ids")?.contains("no effect with --ranker-file") == true)
        #expect(complaint("--ranker", "lr", "--ranker-file", "f")?.contains("give one of") == true)
    }
}
