import Foundation
import LoadGenerator
import TestSupport
import Testing
import Wire

@Suite(.ownThreads) struct ReportTests {
    @Test func `A server time below the microsecond that nodes count in is shown as such`() {
        var report = LoadReport()
        report.server.record(0)
        report.client.record(900)
        #expect(report.server.text(report.server.valueAt(50)) == "<1 us")
        #expect(report.client.text(report.client.valueAt(50)).hasSuffix(" ns"))
        #expect(report.server.text(nil) == "-")
        let server = report.text.split(separator: "\n").first { $0.contains("server") }
        #expect(server?.contains("<1 us") == true && server?.contains("0 ns") == false)
        for _ in 0..<9 { report.server.record(2) }
        #expect(report.server.text(report.server.valueAt(50)) == "2.0 us")
    }

    @Test func `A run that lost its node ends with a code of its own, unless an objective bounds the errors`() throws {
        var report = LoadReport()
        func ending(_ slo: String?) throws -> RunEnding {
            let objective = try slo.map { try ServiceObjective(parsing: $0) }
            return report.ending(objective, objective?.verdicts(on: report) ?? [])
        }
        #expect(try ending(nil) == .nothingAnswered)
        report.succeeded = 1000
        for _ in 0..<1000 { report.client.record(1_000_000) }
        #expect(try ending(nil) == .fine)
        report.errors = [("NOT_FOUND", 3)]
        #expect(try ending(nil) == .fine)
        report.errors = [("CONNECTION_LOST", 3)]
        #expect(try ending(nil) == .nodeLost)
        #expect(try ending("p99=1s") == .nodeLost)
        #expect(try ending("p99=1us") == .objectiveMissed)
        #expect(try ending("errors=3") == .fine)
        #expect(try ending("errors=2") == .objectiveMissed)
        report.errors = [("UNSENT", 3)]
        report.lostConnections = 1
        #expect(try ending(nil) == .nodeLost)
        report.errors = []
        #expect(try ending(nil) == .fine)
        report.wasStopped = true
        #expect(try ending("p99=1us") == .stopped)
    }

    @Test func `A load for users that the node does not know carries a warning`() throws {
        var probe = UserProbe()
        probe.record("u1", Fallback.none)
        probe.record("u2", nil)
        #expect(probe.warning == nil && probe.asked == 1)
        probe.record("u3", .unknownUser)
        #expect(probe.warning?.contains("does not know 1 of 2 users asked (u3, for one)") == true)
        var strangers = UserProbe()
        strangers.record("u1", .unknownUser)
        strangers.record("u2", .noHistory)
        let words = "the node does not know these users (u1, for one): it answers them with popular items"
        #expect(strangers.warning?.hasPrefix(words) == true && strangers.warning?.contains("--users-file") == true)
        var report = LoadReport()
        report.users = strangers
        #expect(report.text.contains("WARNING: \(words)"))
        let json = try #require(try JSONSerialization.jsonObject(with: report.json()) as? [String: Any])
        let users = try #require(json["users"] as? [String: Any])
        #expect(users["unknown"] as? Int == 1 && users["asked"] as? Int == 2)
        #expect((users["warning"] as? String)?.hasPrefix(words) == true)
    }

    @Test func `A busy machine is noted, a quiet one is not`() {
        #expect(MachineLoad.note(average: 0.9, cores: 2) == nil)
        #expect(
            MachineLoad.note(average: 1.8, cores: 2)?.contains("is 1.8 on 2 cores; other programs run beside") == true)
    }

    @Test func `A report without a place to go is refused before the run`() throws {
        let folder = try TemporaryFolder()
        for (path, words) in [
            ("", "--json is empty"), (folder.path, "is a folder"),
            (folder.file("missing/report.json"), "there is no folder \(folder.file("missing"))"),
        ] {
            let error = #expect(throws: LoadError.self) { try ReportFile(path, flag: "--json") }
            #expect(error?.message.contains(words) == true, "\(String(describing: error))")
        }
    }

    @Test func `A report replaces what stood there as a whole, through links, and leaves nothing beside it`() throws {
        let folder = try TemporaryFolder()
        let file = try ReportFile(folder.file("report.json"), flag: "--json")
        #expect(try folder.entries().isEmpty)
        try file.write(Data("first, and longer".utf8))
        try file.write(Data("second".utf8))
        #expect(try folder.read("report.json") == Array("second".utf8))
        try folder.makeLink("link", to: "report.json")
        try ReportFile(folder.file("link"), flag: "--json").write(Data("third".utf8))
        #expect(try folder.read("report.json") == Array("third".utf8))
        #expect(try folder.entries() == ["link", "report.json"])
        // A device is written to, not replaced.
        try ReportFile("/dev/null", flag: "--plot").write(Data("gone".utf8))
    }

    @Test func `A report that does not fit on the disk says so and spoils nothing`() throws {
        let error = #expect(throws: LoadError.self) {
            try ReportFile("/dev/full", flag: "--json").write(Data("x".utf8))
        }
        #expect(error?.message == "/dev/full cannot be written: the disk is full")
        let folder = try TemporaryFolder()
        let file = try ReportFile(folder.file("report.json"), flag: "--json")
        try folder.makeFolder("report.json")
        #expect(throws: LoadError.self) { try file.write(Data("x".utf8)) }
        #expect(try folder.entries() == ["report.json"])
    }

    @Test func `A file of users that cannot be read is named with why`() throws {
        let folder = try TemporaryFolder()
        try folder.write([0xFF, 0x0A], to: "latin")
        for (path, words) in [
            (folder.file("none"), "there is no such file"), (folder.path, "is a folder"),
            (folder.file("latin"), "is not UTF-8 text"),
        ] {
            let error = #expect(throws: LoadError.self) { try UserSource.reading(file: path) }
            #expect(error?.message.contains("\(path): \(words)") == true, "\(String(describing: error))")
        }
    }
}
