import Foundation
import MartletClient
import TestSupport
import Testing
import Vocabulary

/// Deploy/martlet-retrain with the built program, beside a node in this process.
@Suite("From the log to the next model", .timeLimit(.minutes(30)), .ownThreads)
struct RetrainScriptTests {
    /// Users of four tastes over the last ten days: each likes a quarter of the items.
    private static func events(now: UInt64) -> [UserEvent] {
        var random = SeededGenerator(seed: 4)
        return (0..<4000).map { number in
            let user = Int.random(in: 0..<160, using: &random)
            let item = user % 4 * 25 + Int.random(in: 0..<25, using: &random)
            var event = UserEvent(
                user: "user-\(user)", item: "item-\(item)", type: number % 4 == 0 ? "purchase" : "click")
            event.timeMilliseconds = now - 864_000_000 + UInt64(number) * 215_900
            return event
        }
    }

    private static func serving(_ node: TestNode) async throws -> String {
        // The link to it is listed, too, in front of it.
        try await node.client.listModels().models.last(where: \.serving)?.path ?? ""
    }

    @Test("a model is trained, compared and published; a worse one is not, and old ones go")
    func retrain() async throws {
        let folder = try TemporaryFolder()
        try folder.makeFolder("models")
        let node = try await TestNode(bundle: nil) { configuration in
            configuration.modelsRoot = folder.file("models")
            configuration.events.directory = folder.file("events")
        }
        let events = Self.events(now: UInt64(Date().timeIntervalSince1970 * 1000))
        for start in stride(from: 0, to: events.count, by: 1000) {
            _ = try await node.client.recordEvents(RecordEventsRequest(events: Array(events[start..<start + 1000])))
        }
        let settings = [
            "MARTLET": try MartletProgram.path, "LOG": folder.file("events"), "MODELS": folder.file("models"),
            "CURRENT": folder.file("models/current"), "NODE": "127.0.0.1:\(node.port)", "KEEP": "1",
            "TRAIN_FLAGS": "--rank 8 --iterations 3 --threads 1",
        ]
        func run(_ more: [String: String] = [:]) async throws -> MartletProgram.Result {
            try await MartletProgram.run(
                program: "/bin/sh", [Repository.root + "/Deploy/martlet-retrain"],
                environment: settings.merging(more) { $1 })
        }
        let first = try await run()
        #expect(first.status == 0, "\(first)")
        #expect(first.output.contains("nothing to compare"))
        let one = try await Self.serving(node)
        #expect(one.hasPrefix("retrain-"))
        #expect(
            try FileManager.default.destinationOfSymbolicLink(atPath: folder.file("models/current"))
                == folder.file("models/" + one))

        // Five hours of clicks make a worse model than nine days.
        let worse = try await run(["SINCE": "29h"])
        #expect(worse.status == 3, "\(worse)")
        #expect(worse.output.contains("WORSE: served ndcg@20") && worse.output.contains("goes on with \(one)"))
        #expect(try folder.entries("models") == [".retrain.lock", "current", one])
        #expect(try await Self.serving(node) == one)

        let second = try await run(["METRIC": "recall"])
        #expect(second.status == 0 && second.output.contains("PASSES: served recall@20"), "\(second)")
        let two = try await Self.serving(node)
        #expect(two > one)
        // The one that served until now is still there, to go back to; then it goes.
        #expect(try folder.entries("models") == [".retrain.lock", "current", one, two])
        let third = try await run()
        #expect(third.status == 0, "\(third)")
        let three = try await Self.serving(node)
        #expect(try folder.entries("models") == [".retrain.lock", "current", two, three])

        for (setting, words) in [
            (["MIN_USERS": "100000"], "are needed to decide"),
            (["SINCE": "1d", "HOLDOUT": "172800"], "--since is not before --until"),
            (["HOLDOUT": "a day"], "a whole number is wanted"),
            (["NODE": "127.0.0.1:1"], "does not say what it serves"),
            (["LOG": folder.file("none")], "is no folder"), (["TRAIN_FLAGS": "--rank 0"], "no bundle was trained"),
        ] {
            let failed = try await run(setting)
            #expect(failed.status == 1 && failed.errors.contains(words), "\(setting): \(failed)")
            #expect(try folder.entries("models") == [".retrain.lock", "current", two, three], "\(setting)")
        }
        #expect(try await Self.serving(node) == three)
        await node.stop()
    }

    @Test("the settings that are documented are those that the script reads, with their defaults")
    func settings() throws {
        let script = try Repository.text(of: "Deploy/martlet-retrain")
        let documented = try Repository.lines(of: "Deploy/systemd/retrain.conf", startingWith: "#").filter {
            $0.wholeMatch(of: /#[A-Z_]+=.*/) != nil
        }
        #expect(documented.count == 14)
        for line in documented {
            let parts = line.dropFirst().split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            #expect(script.contains("\n\(parts[0])=${\(parts[0]):-\(parts[1])}\n"), "\(line)")
        }
        let read = script.matches(of: /\n([A-Z_]+)=\${/).map { String($0.output.1) }
        #expect(read.filter { $0 != "MARTLET" }.count == documented.count)
    }
}
