import EventLog
import Foundation
import MartletClient
import TestSupport
import Testing
import Training
import Vocabulary

/// The commands around the event log, as programs beside a node in this process.
@Suite("Ingest, and the log's commands", .timeLimit(.minutes(30)), .ownThreads)
struct IngestTests {
    /// The node shares this process, and its loops, with all other tests.
    private static let patience = ["--timeout", "5m", "--retry-for", "5m"]

    private static func withNode(
        _ body: (TestNode, TemporaryFolder, _ log: String, _ address: String) async throws -> Void
    ) async throws {
        let folder = try TemporaryFolder()
        let log = folder.file("events")
        let node = try await TestNode(bundle: nil) { configuration in
            configuration.modelsRoot = folder.path
            configuration.events.directory = log
            configuration.events.segmentBytes = 64 << 10
        }
        do {
            try await body(node, folder, log, "127.0.0.1:\(node.port)")
        } catch {
            await node.stop()
            throw error
        }
        await node.stop()
    }

    private static func events(_ count: Int) -> [UserEvent] {
        var random = SeededGenerator(seed: 11)
        let types = ["click", "view", "rating", "purchase", "impression"]
        let odd = ["", " x", ",", "\"q\"", "ü", "\n"]
        return (0..<count).map { number in
            var event = UserEvent(
                user: "u\(number % 97)\(odd[number % 6])", item: "i\(number % 41)\(odd[number / 7 % 6])",
                type: types[number % 5])
            event.timeMilliseconds = 1_700_000_000_000 + UInt64(number) * 977
            if number % 5 == 2 { event.value = Float.random(in: -1...5, using: &random) }
            if number % 3 == 0 { event.scenario = "home" }
            if number % 4 == 0 { event.requestID = "r\(number)" }
            return event
        }
    }

    @Test(
        "a file that went in comes out again, goes into another node, and is the same there",
        arguments: ["csv", "jsonl"])
    func roundTrip(format: String) async throws {
        let events = Self.events(2500)
        try await Self.withNode { _, folder, log, address in
            let writer = EventFileWriter(format == "csv" ? .csv : .jsonl)
            let file = folder.file("in.\(format)")
            try folder.write(Array((writer.beginning + events.map(writer.line).joined()).utf8), to: "in.\(format)")
            let first = try await MartletProgram.run(["ingest", file, "--node", address, "--json"] + Self.patience)
            #expect(first.status == 0, "\(first)")
            #expect(first.output.contains("\"stored\" : 2500") && first.output.contains("\"durability\" : \"synced\""))
            let again = try await MartletProgram.run(["ingest", file, "--node", address] + Self.patience)
            #expect(again.status == 0 && again.output.contains("2500 events without an ID got one"), "\(again)")

            // Beside the node, which holds the log's lock.
            let out = folder.file("out.\(format)")
            let verified = try await MartletProgram.run(["log", "verify", log])
            #expect(verified.status == 0 && verified.output.contains("sound"), "\(verified)")
            let exported = try await MartletProgram.run(["log", "export", log, "--output", out])
            #expect(exported.status == 0, "\(exported)")
            try await Self.withNode { _, _, otherLog, otherAddress in
                let input = String(decoding: try folder.read("out.\(format)"), as: UTF8.self)
                let second = try await MartletProgram.run(
                    ["ingest", "-", "--node", otherAddress, "--batch", "333"] + Self.patience, input: input)
                #expect(second.status == 0, "\(second)")
                let copied = try await MartletProgram.run(["log", "export", otherLog, "--format", format])
                #expect(copied.status == 0)
                // Calls in flight may change places, and the first log may hold an event twice.
                let lines = { (text: String) in Set(text.split(separator: "\n").map(String.init)) }
                #expect(lines(copied.output) == lines(input))
                let found = try Set(
                    RecordEventsTests.logged(otherLog).map { event in
                        var event = event
                        event.id = ""
                        return event
                    })
                #expect(found == Set(events))
            }
        }
    }

    @Test("a node that is stopped and comes back in the middle costs no event")
    func restart() async throws {
        let folder = try TemporaryFolder()
        let (root, log) = (folder.path, folder.file("events"))
        @Sendable func node(_ port: Int) async throws -> TestNode {
            try await TestNode(bundle: nil) { configuration in
                configuration.modelsRoot = root
                configuration.events.directory = log
                configuration.listen.port = port
            }
        }
        let events = Self.events(4000)
        let writer = EventFileWriter(.jsonl)
        try folder.write(Array(events[..<1500].map(writer.line).joined().utf8), to: "a")
        try folder.write(Array(events[1500...].map(writer.line).joined().utf8), to: "b")
        let first = try await TestNode.onPortOfItsOwn { port in try await node(port) }
        let program = try MartletProgram.path
        let wait = "while [ ! -e go ]; do sleep 0.05; done"
        async let result = MartletProgram.run(
            program: "/bin/sh",
            [
                "-c",
                "cd '\(root)' && (cat a; \(wait); cat b) | '\(program)' ingest - --node 127.0.0.1:\(first.port) --batch 200 --retry-for 10m --timeout 5m",
            ])
        // All of the first part is there.
        while try Self.count(log) < 1500 { try await Task.sleep(for: .milliseconds(50)) }
        await first.stop()
        try folder.write([], to: "go")
        // Time for calls that nobody answers. A machine that is slow enough makes none of them; then nothing is shown here.
        try await Task.sleep(for: .milliseconds(500))
        let second = try await node(first.port)
        let ended = try await result
        #expect(ended.status == 0 && ended.output.contains("4000 events stored on disk"), "\(ended)")
        await second.stop()
        let found = try RecordEventsTests.logged(log)
        #expect(Set(found.map(\.contentID)) == Set(events.map(\.contentID)))
        #expect(found.allSatisfy { !$0.id.isEmpty })
    }

    private static func count(_ log: String) throws -> Int {
        guard let archive = try? LogArchive(path: log) else { return 0 }
        return try archive.read { _ in }.events
    }

    @Test("a log and a file of the same events train the same bundle")
    func sameBundle() async throws {
        let folder = try TemporaryFolder()
        let log = folder.file("events")
        let node = try await TestNode(bundle: nil) { configuration in
            configuration.modelsRoot = folder.path
            configuration.events.directory = log
        }
        var (events, csv): ([UserEvent], String) = ([], "userId,movieId,rating,timestamp\n")
        var random = SeededGenerator(seed: 8)
        for number in 0..<3000 {
            let user = Int.random(in: 0..<80, using: &random)
            var event = UserEvent(
                user: "u\(user)", item: "i\(user % 3 * 20 + Int.random(in: 0..<30, using: &random))", type: "rating")
            event.value = Float(Int.random(in: 1...5, using: &random))
            event.timeMilliseconds = 1_700_000_000_000 + UInt64(number) * 1000
            events.append(event)
            csv += "\(event.user),\(event.item),\(event.value ?? 0),\(event.timeMilliseconds / 1000)\n"
        }
        try folder.write(Array(csv.utf8), to: "ratings.csv")
        let sent = try await MartletProgram.run(
            [
                "ingest", folder.file("ratings.csv"), "--type", "rating", "--node", "127.0.0.1:\(node.port)",
            ] + Self.patience)
        #expect(sent.status == 0)
        for (name, source) in [("log", ["--from-log", log]), ("file", ["--input", folder.file("ratings.csv")])] {
            let trained = try await MartletProgram.run(
                ["train"] + source + [
                    "--output", folder.file(name), "--rank", "8", "--iterations", "3", "--threads", "1", "--min-value",
                    "3",
                    "--confidence", "value",
                ])
            #expect(trained.status == 0, "\(trained)")
        }
        let files = try folder.entries("log").filter { !$0.hasPrefix("manifest.") }
        #expect(files.count > 4)
        #expect(try folder.entries("file").filter { !$0.hasPrefix("manifest.") } == files)
        for file in files { #expect(try folder.read("log/" + file) == folder.read("file/" + file), "\(file)") }
        await node.stop()
    }

    @Test("a window of time and types can be exported, and info counts what there is")
    func export() async throws {
        let events = Self.events(1000)
        try await Self.withNode { node, _, log, _ in
            _ = try await node.client.recordEvents(RecordEventsRequest(events: events))
            let since = 1_700_000_000_000 + UInt64(977 * 100)
            let result = try await MartletProgram.run([
                "log", "export", log, "--since", EventTime.text(since), "--until", "\(since + 977 * 500)", "--type",
                "click",
                "--type", "rating", "--format", "jsonl",
            ])
            #expect(result.status == 0 && result.output.split(separator: "\n").count == 200, "\(result.errors)")
            #expect(result.errors.contains("200 events of 1000"))
            let info = try await MartletProgram.run(["log", "info", log])
            #expect(
                info.status == 0 && info.output.contains("2023-11-14T22:13:20Z to 2023-11-14T22:29:36.023Z"), "\(info)")
            let json = try await MartletProgram.run(["log", "info", log, "--json"])
            #expect(json.output.contains("\"events\" : 1000") && json.output.contains("\"damaged\" : false"))
        }
    }

    @Test("verify's exit code tells damage, and what is lost is named")
    func damage() async throws {
        let folder = try TemporaryFolder()
        let log = folder.file("events")
        let node = try await TestNode(bundle: nil) { configuration in
            configuration.modelsRoot = folder.path
            configuration.events.directory = log
        }
        for part in 0..<5 {
            _ = try await node.client.recordEvents(
                RecordEventsRequest(events: Array(Self.events(500)[part * 100..<part * 100 + 100])))
        }
        await node.stop()
        let name = try #require(
            try folder.entries("events").filter { $0.hasSuffix(".log") }.max { a, b in
                (try? folder.read("events/" + a).count) ?? 0 < (try? folder.read("events/" + b).count) ?? 0
            })
        var bytes = try folder.read("events/" + name)
        bytes[bytes.count / 2] ^= 4
        try folder.write(bytes, to: "events/" + name)
        let verified = try await MartletProgram.run(["log", "verify", log])
        #expect(verified.status == 2 && verified.output.contains("DAMAGED"), "\(verified)")
        #expect(verified.errors.contains("damage: \(name)") && verified.errors.contains("are lost"))
        let exported = try await MartletProgram.run(["log", "export", log])
        #expect(exported.status == 2 && exported.output.split(separator: "\n").count > 100)
        let info = try await MartletProgram.run(["log", "info", log])
        #expect(info.status == 0 && info.output.contains("yes, see above"))
        for wrong in [folder.path, folder.file("absent"), folder.file("events/" + name)] {
            for command in ["verify", "info", "export"] {
                let refused = try await MartletProgram.run(["log", command, wrong])
                #expect(refused.status == 1 && refused.errors.hasPrefix("Error: \(wrong)"), "\(refused)")
            }
        }
    }

    @Test("what a node refuses is named by line, and the rest is stored")
    func refused() async throws {
        try await Self.withNode { _, folder, log, address in
            var text = "userId,movieId,action,timestamp\n"
            for number in 0..<60 { text += "u\(number),m\(number),\(number % 20 == 7 ? "clik" : "click"),1700000000\n" }
            text += "u,,click,1700000000\nu,m,click,4102444000\n"
            try folder.write(Array(text.utf8), to: "mixed.csv")
            let result = try await MartletProgram.run(
                ["ingest", folder.file("mixed.csv"), "--node", address] + Self.patience)
            #expect(result.status == 1)
            #expect(result.output.contains("57 events stored on disk"), "\(result)")
            #expect(result.output.contains("5 refused: 3 unknown type, 1 no item, 1 time"), "\(result.output)")
            #expect(result.errors.contains("mixed.csv, line 9: no event type is named 'clik'"))
            #expect(try RecordEventsTests.logged(log).count == 57)
            let checked = try await MartletProgram.run([
                "ingest", folder.file("mixed.csv"), "--dry-run", "--node", "127.0.0.1:1",
            ])
            #expect(
                checked.status == 1 && checked.output.contains("61 events could be sent; nothing was"), "\(checked)")
        }
    }

    @Test("a file that breaks off says so, beside what was stored before")
    func brokenOff() async throws {
        try await Self.withNode { _, folder, log, address in
            let writer = EventFileWriter(.csv)
            try folder.write(
                Array((writer.beginning + Self.events(40_000).map(writer.line).joined()).utf8), to: "whole.csv")
            let cut = try await MartletProgram.run(
                program: "/bin/sh",
                ["-c", "cd '\(folder.path)' && gzip whole.csv && head -c 250000 whole.csv.gz >cut.csv.gz"])
            #expect(cut.status == 0, "\(cut)")
            let result = try await MartletProgram.run(
                ["ingest", folder.file("cut.csv.gz"), "--node", address] + Self.patience)
            #expect(result.status == 1 && result.output.contains("the gzip data ends early"), "\(result)")
            let stored = try Self.count(log)
            #expect(stored > 1000 && stored < 40_000 && result.output.contains(": \(stored) events stored on disk"))
        }
    }

    @Test("what cannot be begun says what to do")
    func advice() async throws {
        let folder = try TemporaryFolder()
        try folder.write([], to: "empty.csv")
        try folder.write(Array("user,item,type\nu,i,click\n".utf8), to: "good.csv")
        let absent = try await MartletProgram.run(["ingest", folder.file("good.csv"), "--node", "127.0.0.1:1"])
        #expect(absent.status == 1 && absent.errors.contains("Is the node running?"), "\(absent)")
        let missing = try await MartletProgram.run(["ingest", folder.file("none.csv"), "--dry-run"])
        #expect(missing.status == 1 && missing.errors.contains("none.csv: no such file"), "\(missing)")
        let empty = try await MartletProgram.run(["ingest", folder.file("empty.csv"), "--dry-run"])
        #expect(empty.status == 1 && empty.errors.contains("there is no event in it"), "\(empty)")
        let log = try await MartletProgram.run(["train", "--from-log", folder.path, "--output", folder.file("b")])
        #expect(log.status == 1 && log.errors.contains("is no folder of an event log"), "\(log)")
        let nowhere = try await MartletProgram.run(["log", "verify", folder.file("none")])
        #expect(nowhere.status == 1 && nowhere.errors.contains("there is no such folder; name the one"), "\(nowhere)")
        let neither = try await MartletProgram.run(["train", "--output", folder.file("b")])
        #expect(neither.status == 64 && neither.errors.contains("--from-log DIR"), "\(neither)")
    }
}
