import Artifacts
import Features
import RankingModels
import Retrieval
import TestSupport
import Testing
import Training

@testable import martlet

/// Rankers with live features, by the commands: users who come back in sessions of some minutes.
@Suite(.ownThreads, .timeLimit(.minutes(20))) struct LiveRankerTests {
    private func write(_ folder: TemporaryFolder) throws {
        var random = SeededGenerator(seed: 31)
        var lines: [(time: Int, text: String)] = []
        for user in 0..<600 {
            var items: Set<Int> = []
            for session in 0..<3 {
                var time = 1_600_000_000 + session * 10 * 86_400 + Int.random(in: 0..<8 * 86_400, using: &random)
                for _ in 0..<4 {
                    time += Int.random(in: 1...400, using: &random)
                    let unit = Double.random(in: 0..<1, using: &random)
                    let item = Int(unit * unit * 80)
                    if items.insert(item).inserted { lines.append((time, "u\(user),i\(item),1,\(time)")) }
                }
            }
        }
        lines.sort { $0.time < $1.time }
        let cut = lines.count * 9 / 10
        func text(_ part: ArraySlice<(time: Int, text: String)>) -> [UInt8] {
            Array(("user,item,value,timestamp\n" + part.map(\.text).joined(separator: "\n") + "\n").utf8)
        }
        try folder.write(text(lines[..<cut]), to: "pairs.csv")
        try folder.write(text(lines[cut...]), to: "test.csv")
        let plain = lines.map { $0.text.split(separator: ",").prefix(2).joined(separator: ",") }
        try folder.write(Array(("user,item\n" + plain.joined(separator: "\n") + "\n").utf8), to: "plain.csv")
    }

    private func run(_ arguments: String...) throws {
        var command = try Martlet.parseAsRoot(arguments)
        try command.run()
    }

    @Test func `are trained, judged, inspected, evaluated and exported as of moments, and refused without times`()
        throws
    {
        let folder = try TemporaryFolder()
        try write(folder)
        let fit = ["--rank", "8", "--iterations", "3", "--threads", "2"]
        func train(_ output: String, _ input: String, _ arguments: String...) throws {
            var command = try Martlet.parseAsRoot(
                ["train", "--input", folder.file(input), "--output", folder.file(output), "-k", "10"] + fit + arguments)
            try command.run()
        }
        try train("live", "pairs.csv", "--ranker", "lr", "--ranker-live", "features", "--force-ranker")
        let bundle = try Bundle(opening: folder.file("live"))
        let ranker = try NetworkRanker(bundle.file(NetworkRanker.fileName))
        let live = ranker.schema.fields.filter { $0.source.live != nil }.map(\.source.text)
        #expect(
            live == [
                "live.events:1m", "live.events:1h", "live.events:1d", "live.session.events", "live.session.items",
                "live.session.seconds", "live.idle", "live.item.clicks", "live.item.trend",
            ])
        #expect(ranker.schema.version == 2)
        let artifact = try bundle.file(RankerArtifact.fileName)
        let summary = RankerSummary(try RankerArtifact(artifact), path: artifact.path, fileBytes: artifact.fileBytes)
        #expect(summary.table.contains("9 live") && summary.table.contains("too old after 1800 s"))
        try run("model", "inspect", folder.file("live"))

        // A file of it is judged in the same way; the same seed gives the same ranker on another number of threads.
        try train(
            "again", "pairs.csv", "--ranker", "lr", "--ranker-live", "features", "--force-ranker", "--threads", "1")
        #expect(
            try NetworkRanker(Bundle(opening: folder.file("again")).file(NetworkRanker.fileName)).schema
                == ranker.schema)
        try train(
            "taken", "pairs.csv", "--ranker-file", "\(folder.file("live"))/\(NetworkRanker.fileName).safetensors",
            "--force-ranker")
        try train("history", "pairs.csv", "--ranker", "lr", "--ranker-live", "history", "--force-ranker")
        let history = try NetworkRanker(Bundle(opening: folder.file("history")).file(NetworkRanker.fileName))
        #expect(history.schema.version == 1 && !history.schema.fields.contains { $0.source.live != nil })

        for (bundle, choice) in [("live", true), ("live", false), ("history", true)] {
            let test = try InteractionImporter().read(folder.file("test.csv")).interactions
            let report = try Rehearsal.evaluate(
                bundle: folder.file(bundle), test: test, name: "test", k: 10, threads: 2, sources: [],
                eachChoice: choice, cancellation: Cancellation())
            let served = try #require(report[EvaluationReport.servedName])
            #expect(served.ndcg > 0.05 && (report.choices ?? 0 > report.users) == choice)
        }
        try run(
            "evaluate", "--bundle", folder.file("live"), "--test", folder.file("test.csv"), "--each-choice", "--json")

        var export = try Martlet.parseAsRoot(
            [
                "ranker", "export-examples", "--input", folder.file("pairs.csv"), "--output", folder.file("rows.csv"),
                "--ranker-live", "features", "--write-features", folder.file("features.json"), "--users", "100",
            ] + fit)
        try export.run()
        let rows = try String(decoding: folder.read("rows.csv"), as: UTF8.self).split(separator: "\n")
        let names = rows[0].split(separator: ",")
        let column = try #require(names.firstIndex(of: "session_events"))
        let values = rows.dropFirst().map { $0.split(separator: ",", omittingEmptySubsequences: false)[column] }
        // Some are asked for within a session, some after a pause.
        #expect(values.contains("") && values.contains("1.0") && values.contains("2.0"))
        try run(
            "ranker", "export-examples", "--bundle", folder.file("live"), "--later", folder.file("test.csv"),
            "--output", folder.file("later.csv"), "--features", folder.file("features.json"))

        for arguments in [
            [
                "train", "--input", folder.file("plain.csv"), "--output", folder.file("none"), "--ranker", "lr",
                "--ranker-live", "features",
            ],
            [
                "ranker", "export-examples", "--input", folder.file("plain.csv"), "--output", folder.file("none.csv"),
                "--features", folder.file("features.json"),
            ],
            [
                "train", "--input", folder.file("plain.csv"), "--output", folder.file("none"), "--ranker-file",
                "\(folder.file("live"))/\(NetworkRanker.fileName).safetensors",
            ],
        ] {
            var command = try Martlet.parseAsRoot(arguments + fit)
            let error = #expect(throws: (any Error).self) { try command.run() }
            #expect("\(error.map { "\($0)" } ?? "")".contains("have no times"), "\(error.map { "\($0)" } ?? "")")
        }
    }
}
