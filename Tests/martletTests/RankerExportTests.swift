import ArgumentParser
import Artifacts
import Foundation
import RankingModels
import TestSupport
import Testing
import Training

@testable import martlet

/// From interactions to a bundle whose ranker LightGBM trained, by the commands.
@Suite(.ownThreads) struct RankerExportTests {
    private func complaint(_ arguments: String...) -> String? {
        do {
            _ = try Martlet.parseAsRoot(["ranker", "export-examples", "--output", "o"] + arguments)
            return nil
        } catch {
            return Martlet.message(for: error)
        }
    }

    @Test func `flags that cannot go together say so`() {
        #expect(complaint("--write-features", "f")?.contains("give either --input, or --bundle and --later") == true)
        #expect(complaint("--bundle", "b", "--write-features", "f")?.contains("--bundle and --later") == true)
        #expect(complaint("--input", "i")?.contains("--features, or where to write it with --write-features") == true)
        #expect(
            complaint("--bundle", "b", "--later", "l", "--features", "f", "--items", "x")?.contains(
                "--items has no effect")
                == true)
        #expect(complaint("--input", "i", "--features", "f", "--negatives", "0")?.contains("--negatives") == true)
        #expect(complaint("--input", "i", "--features", "f") == nil)
    }

    private func run(_ arguments: [String]) throws {
        var command = try Martlet.parseAsRoot(arguments)
        try command.run()
    }

    private func sample(_ folder: TemporaryFolder) throws -> String {
        let data = folder.file("data")
        try FileManager.default.createDirectory(atPath: data, withIntermediateDirectories: true)
        _ = try SampleData(SampleConfiguration(users: 400, items: 150, interactions: 9_000, seed: 3)).write(to: data)
        return data
    }

    private static let model = """
        tree
        version=v4
        num_class=1
        num_tree_per_iteration=1
        max_feature_idx=1
        objective=lambdarank
        feature_names=popularity product

        Tree=0
        num_leaves=3
        num_cat=0
        split_feature=0 1
        threshold=30 0.1
        decision_type=8 8
        left_child=-1 -2
        right_child=1 -3
        leaf_value=-1 -0.5 0.25
        is_linear=0

        end of trees

        """

    /// The schema of `model`'s features, with the candidates that it says it was fitted to.
    private static let schema: String = {
        let fields = ["popularity": "item.popularity", "product": "cross.product:als"].map {
            "{\"name\": \"\($0)\", \"from\": \"\($1)\", \"dense\": \"none\"}"
        }
        return
            "{\"format\": \"martlet-features\", \"version\": 1, \"fields\": [\(fields.joined(separator: ", "))], "
            + "\"candidates\": {\"count\": 70, \"sources\": [\"als\"]}}"
    }()

    /// A ranker of `model`, imported by the command; its path.
    private func importTrees(_ folder: TemporaryFolder) throws -> String {
        try folder.write(Array(Self.model.utf8), to: "model.txt")
        try folder.write(Array(Self.schema.utf8), to: "features.json")
        let ranker = folder.file("ranker.safetensors")
        try run([
            "ranker", "import", "--trees", folder.file("model.txt"), "--features", folder.file("features.json"),
            "--output", ranker,
        ])
        return ranker
    }

    @Test func `examples have a row for each candidate, and users to judge by are not among them`() throws {
        let folder = try TemporaryFolder()
        let data = try sample(folder)
        let arguments = [
            "ranker", "export-examples", "--input", data, "--rank", "8", "--iterations", "2", "--threads", "2",
        ]
        try run(
            arguments + [
                "--output", folder.file("a.csv"), "--write-features", folder.file("features.json"),
                "--rank-candidates", "40",
            ])
        let text = try String(contentsOfFile: folder.file("a.csv"), encoding: .utf8)
        let lines = text.split(separator: "\n").map { $0.split(separator: ",", omittingEmptySubsequences: false) }
        #expect(lines[0].prefix(4) == ["label", "part", "user", "item"] && lines[0].contains("shared_genres"))
        #expect(lines.allSatisfy { $0.count == lines[0].count })
        // Whole lists, one after the other, of users of one part each.
        var users: [Substring: (rows: Int, part: Substring, last: Int)] = [:]
        for (number, line) in lines.enumerated().dropFirst() {
            let before = users[line[2]]
            #expect(before.map { $0.last == number - 1 && $0.part == line[1] } ?? true)
            users[line[2]] = ((before?.rows ?? 0) + 1, line[1], number)
        }
        #expect(users.values.allSatisfy { $0.rows == 40 } && Set(users.values.map(\.part)) == ["train", "valid"])
        #expect(users.count > 120 && users.count <= 280)
        // What the ranker will have been fitted to goes with the features.
        let candidates = try ImportFiles.candidates(folder.file("features.json"))
        #expect(candidates == FittedCandidates(count: 40, sources: ["item_to_item", "als", "recent"]))
        // The same flags give the same file, whatever the threads; the schema that was written gives it too.
        try run(
            arguments.dropLast() + [
                "1", "--output", folder.file("b.csv"), "--features", folder.file("features.json"), "--rank-candidates",
                "40",
            ])
        #expect(try folder.read("b.csv") == folder.read("a.csv"))
        // Fewer negatives, more users' last choices than there are candidates.
        try run(
            arguments + [
                "--output", folder.file("c.csv"), "--features", folder.file("features.json"), "--rank-candidates", "40",
                "--negatives", "2",
            ])
        let fewer = try String(contentsOfFile: folder.file("c.csv"), encoding: .utf8).split(separator: "\n")
        #expect(fewer.filter { $0.hasPrefix("1,") }.count == lines.filter { $0[0] == "1" }.count)
        #expect(fewer.count < lines.count / 2)
        // Nothing is written over, and nothing is left of what fails.
        #expect(throws: ExitCode.self) {
            try run(arguments + ["--output", folder.file("a.csv"), "--features", folder.file("features.json")])
        }
        try folder.write(
            Array(
                "{\"format\":\"martlet-features\",\"version\":1,\"fields\":[{\"name\":\"item\",\"from\":\"item.popularity\",\"dense\":\"none\"}]}"
                    .utf8), to: "taken.json")
        #expect(throws: ExitCode.self) {
            try run(arguments + ["--output", folder.file("d.csv"), "--features", folder.file("taken.json")])
        }
        #expect(try !folder.entries().contains { $0.hasPrefix("d.csv") })
    }

    @Test func `with times an earlier stretch is written, and all who come back in the later one judge`() throws {
        let folder = try TemporaryFolder()
        var random = SeededGenerator(seed: 8)
        var (text, times) = ("user,item,value,timestamp\n", [String: Int]())
        for user in 0..<500 {
            for item in (0..<200).shuffled(using: &random).prefix(12) {
                let time = 1_600_000_000 + Int.random(in: 0..<10_000_000, using: &random)
                times["u\(user),i\(item)"] = time
                text += "u\(user),i\(item),1,\(time)\n"
            }
        }
        try folder.write(Array(text.utf8), to: "ratings.csv")
        let fitting = ["--input", folder.file("ratings.csv"), "--rank", "8", "--iterations", "2", "--threads", "2"]
        try run(
            ["ranker", "export-examples", "--output", folder.file("e.csv"), "--rank-candidates", "50"]
                + ["--write-features", folder.file("all.json")] + fitting)
        let sorted = times.values.sorted()
        let (from, to) = (sorted[sorted.count * 6 / 10 - 5], sorted[sorted.count * 8 / 10 + 5])
        let lines = try String(contentsOfFile: folder.file("e.csv"), encoding: .utf8).split(separator: "\n")
            .map { $0.split(separator: ",", omittingEmptySubsequences: false) }
        // It knows of time, as what it knows is older than any choice.
        #expect(lines[0].contains("item_idle"))
        let chosen = lines.dropFirst().filter { $0[0] == "1" }.compactMap { times["\($0[2]),\($0[3])"] }
        #expect(chosen.count > 100 && chosen.allSatisfy { (from...to).contains($0) })
        #expect(Set(lines.dropFirst().map { $0[1] }) == ["train", "valid"])

        let bundle = folder.file("bundle")
        try run(["train", "--output", bundle, "--ranker-file", importTrees(folder), "--force-ranker"] + fitting)
        let manifest = try Bundle(opening: bundle, verify: .sizes).manifest
        let users = try #require(manifest.training["ranker"]?["users"]?.intValue)
        var (before, after) = (Set<Substring>(), Set<Substring>())
        for (pair, time) in times {
            let user = pair.prefix { $0 != "," }
            if time < sorted[sorted.count * 8 / 10] { before.insert(user) } else { after.insert(user) }
        }
        #expect(abs(users - before.intersection(after).count) <= 3, "\(users)")
    }

    @Test func `a bundle with trees is shown with what they are`() throws {
        let folder = try TemporaryFolder()
        let (ranker, bundle) = (try importTrees(folder), folder.file("bundle"))
        let imported = try RankerArtifact(TensorFile(path: ranker))
        #expect(imported.candidates == FittedCandidates(count: 70, sources: ["als"]))
        try run(
            ["train", "--input", sample(folder), "--output", bundle, "--ranker-file", ranker, "--force-ranker"]
                + ["--rank", "8", "--iterations", "2", "--threads", "2"])
        try run(["model", "inspect", bundle])
        try run(["model", "inspect", bundle, "--json"])
        let opened = try Bundle(opening: bundle, verify: .sizes)
        let file = try opened.file(RankerArtifact.fileName)
        let summary = RankerSummary(try RankerArtifact(file), path: file.path, fileBytes: file.fileBytes)
        let section = summary.section(opened.manifest)
        for words in [
            "trees        1 of LightGBM, 3 leaves", "objective    lambdarank", "features     2 (1 item, 1 cross)",
            "candidates   70 of each user, of item_to_item, als, recent, when it was fitted or judged",
        ] { #expect(section.contains(words), "\(section)") }
        #expect(!section.contains("item parts"))
        let json = summary.json(items: 150)
        #expect(json["kind"]?.stringValue == "trees" && json["leaves"]?.intValue == 3)
        #expect(json["objective"]?.stringValue == "lambdarank" && json["trees"]?.intValue == 1)
        #expect(json["item_parts"] == nil && json["candidates"]?.intValue == 70)
        // Judged by the users whose choices an export would not have held, as many as it says.
        let told = try #require(opened.manifest.training["ranker"])
        #expect(told["users"]?.intValue.map { (60...120).contains($0) } == true && told["log_loss"] == .null)
        #expect(told["difference"]?["margin"]?.doubleValue != nil)
        #expect(try RankerNote(bundle: bundle)?.warnings == [])
    }

    @Test(.enabled(if: PythonEnvironment.lightgbm.mayRun, Comment(rawValue: PythonEnvironment.lightgbm.commentText)))
    func `LightGBM's ranker goes from examples into a bundle`() throws {
        let folder = try TemporaryFolder()
        let data = try sample(folder)
        let fitting = ["--rank", "8", "--iterations", "2", "--threads", "2"]
        try run(
            ["ranker", "export-examples", "--input", data, "--output", folder.file("examples.csv")]
                + ["--write-features", folder.file("features.json")] + fitting)
        let done = try PythonEnvironment.lightgbm.run(
            "import runpy, sys; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')",
            [
                Repository.root + "/docs/examples/lightgbm_ranker.py", "--examples", folder.file("examples.csv"),
                "--features", folder.file("features.json"), "--output", folder.file("model.txt"), "--rounds", "40",
            ])
        try #require(done.status == 0, "\(done.output)")
        let ranker = folder.file("ranker.safetensors")
        try run([
            "ranker", "import", "--trees", folder.file("model.txt"), "--features", folder.file("features.json"),
            "--output", ranker,
        ])
        try run(["ranker", "inspect", ranker])
        try run(["ranker", "inspect", ranker, "--json"])
        try run(
            ["train", "--input", data, "--output", folder.file("bundle"), "--ranker-file", ranker, "--force-ranker"]
                + fitting)
        #expect(try folder.entries("bundle").contains("ranker.safetensors"))
        // A bundle's own candidates, with what users did since.
        let lines = try String(contentsOfFile: data + "/ratings.csv", encoding: .utf8).split(separator: "\n")
            .dropFirst()
        let pairs = lines.map { $0.split(separator: ",") }
        let since = zip(pairs, pairs.dropFirst(1000)).map { "\($0[0]),\($1[1])" }
        try folder.write(Array(("user,item\n" + since.joined(separator: "\n") + "\n").utf8), to: "since.csv")
        try run(["evaluate", "--bundle", folder.file("bundle"), "--test", folder.file("since.csv")])
        try run([
            "ranker", "export-examples", "--bundle", folder.file("bundle"), "--later", folder.file("since.csv"),
            "--output",
            folder.file("later.csv"), "--features", folder.file("features.json"),
        ])
    }
}
