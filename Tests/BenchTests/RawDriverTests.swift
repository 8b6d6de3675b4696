import Foundation
import FoundationXML
import LoadGenerator
import TestSupport
import Testing
import Wire

/// Tiny runs of the raw driver against a fake node on loopback.
@Suite(.serialized, .ownThreads) struct RawDriverTests {
    private func run(
        _ mode: LoadMode, _ behaviour: FakeNodeBehaviour = FakeNodeBehaviour(), requests: Int? = nil,
        duration: Double = 10, _ change: (inout LoadConfiguration) -> Void = { _ in }
    ) throws -> (report: LoadReport, answered: Int) {
        let node = try FakeNode(behaviour, spin: false)
        defer { node.stop() }
        var configuration = LoadConfiguration()
        configuration.port = node.port
        configuration.mode = mode
        configuration.connections = 4
        configuration.users = .pattern("u####", count: 100)
        configuration.requestsMax = requests
        configuration.spin = false
        configuration.timeout = 300
        change(&configuration)
        let driver = try RawDriver(configuration)
        let report = try driver.run(configuration.mode, warmup: 0, duration: duration, stop: StopSignal()) { _ in }
        return (report, node.callsAnswered)
    }

    @Test func `A closed loop asks as often as it is told and counts every answer`() throws {
        let (report, _) = try run(.closed(inFlight: 8), requests: 5000)
        #expect(report.succeeded == 5000)
        #expect(report.failed == 0)
        #expect(report.client.count == 5000)
        #expect(report.cachedShare == 1)
        #expect(report.server.valueAt(50) == 3000)
    }

    @Test func `An open loop sends at its rate`() throws {
        let (report, _) = try run(.open(rate: 2000), duration: 0.5)
        #expect(report.succeeded + report.failed == 1000)
    }

    @Test func `Every shard gets the calls of its users`() throws {
        var behaviour = FakeNodeBehaviour()
        behaviour.shardCount = 3
        let (report, _) = try run(.open(rate: 3000), behaviour, duration: 0.3) { $0.connections = 6 }
        // Each shard has a schedule of its own, rounded to whole calls.
        #expect(abs(Int(report.succeeded + report.failed) - 900) <= 3)
        #expect(report.shardCount == 3)
        #expect(report.isRouted)
    }

    @Test func `With too few connections for the shards calls go anywhere`() throws {
        var behaviour = FakeNodeBehaviour()
        behaviour.shardCount = 4
        let (report, _) = try run(.closed(inFlight: 1), behaviour, requests: 100) {
            $0.connections = 4
            $0.threads = 2
        }
        #expect(!report.isRouted)
        #expect(report.succeeded == 100)
    }

    @Test func `Failures are counted by code`() throws {
        var behaviour = FakeNodeBehaviour()
        behaviour.failureEvery = 10
        let (report, _) = try run(.closed(inFlight: 4), behaviour, requests: 1000)
        #expect(report.errors.map(\.name) == ["UNAVAILABLE"])
        #expect(report.succeeded + report.failed == 1000)
        #expect((99...101).contains(report.failed))
    }

    @Test func `Calls without an answer time out`() throws {
        var behaviour = FakeNodeBehaviour()
        behaviour.silenceEvery = 50
        let (report, _) = try run(.open(rate: 1000), behaviour, duration: 0.5) { $0.timeout = 0.5 }
        #expect(report.errors.map(\.name) == ["TIMED_OUT"])
        // On a machine that is slow enough others time out, too.
        #expect(report.failed >= 9 && report.succeeded + report.failed == 500)
    }

    @Test func `A stall of the node shows in an open loop`() throws {
        var behaviour = FakeNodeBehaviour()
        behaviour.stallAfter = 500
        behaviour.stallMilliseconds = 300
        let (report, _) = try run(.open(rate: 2000), behaviour, duration: 1)
        // The stall is at least as long as asked, so these are lower bounds on any machine: 600 of 2000 calls wait,
        // evenly spread over 0...300 ms.
        #expect((report.client.max ?? 0) >= 290e6)
        #expect((report.client.valueAt(95) ?? 0) >= 240e6)
        #expect((report.client.valueAt(80) ?? 0) >= 90e6)
    }

    @Test func `Broken connections are opened again`() throws {
        var behaviour = FakeNodeBehaviour()
        behaviour.closeEvery = 200
        let (report, _) = try run(.closed(inFlight: 2), behaviour, requests: 1000)
        #expect(report.errors.map(\.name) == ["CONNECTION_LOST"])
        #expect(report.succeeded + report.failed == 1000)
    }

    @Test func `A mix reports each method`() throws {
        let (report, _) = try run(.closed(inFlight: 4), requests: 2000) {
            $0.mix = (try? MethodMix(parsing: "recommend=1,many=1,similar=1,item=1,health=1")) ?? .recommendOnly
        }
        #expect(report.methods.map(\.name).sorted() == ["health", "item", "many", "recommend", "similar"])
    }

    @Test func `A run can be stopped`() throws {
        let node = try FakeNode(spin: false)
        defer { node.stop() }
        var configuration = LoadConfiguration()
        configuration.port = node.port
        configuration.connections = 2
        let driver = try RawDriver(configuration)
        let stop = StopSignal()
        let report = try driver.run(.closed(inFlight: 1), warmup: 0, duration: 3600, stop: stop) { point in
            if point.throughput > 0 { stop.set() }
        }
        #expect(report.wasStopped)
        #expect(report.succeeded > 0)
    }

    @Test func `The node is asked whether it knows the users`() throws {
        var behaviour = FakeNodeBehaviour()
        #expect(try run(.closed(inFlight: 1), behaviour, requests: 10).report.users == nil)
        behaviour.fallback = Fallback.none
        let known = try run(.closed(inFlight: 1), behaviour, requests: 10).report.users
        #expect(known?.asked == 5 && known?.warning == nil)
        behaviour.fallback = .unknownUser
        let strangers = try run(.closed(inFlight: 1), behaviour, requests: 10).report.users
        #expect(strangers?.unknown == 5 && strangers?.example == "u0001")
        let health = try run(.closed(inFlight: 1), behaviour, requests: 10) {
            $0.mix = (try? MethodMix(parsing: "health=1")) ?? .recommendOnly
        }
        #expect(health.report.users == nil)
    }

    @Test func `A run that is to end with its node does, and says so`() throws {
        let node = try FakeNode(spin: false)
        defer { node.stop() }
        var configuration = LoadConfiguration()
        configuration.port = node.port
        configuration.connections = 2
        configuration.endsWhenNodeIsGone = true
        let driver = try RawDriver(configuration)
        let report = try driver.run(.open(rate: 500), warmup: 0, duration: 3600, stop: StopSignal()) { _ in node.stop()
        }
        #expect(!report.wasStopped && report.isNodeGone)
        #expect(report.duration < 1800)
    }

    @Test func `Another protocol is named as such`() throws {
        var behaviour = FakeNodeBehaviour()
        behaviour.foreignAnswer = Array("HTTP/1.1 400 Bad Request\r\n\r\n".utf8)
        let error = #expect(throws: LoadError.self) { try run(.closed(inFlight: 1), behaviour, requests: 1) }
        #expect(error?.message.contains("another protocol") == true)
        #expect(error?.message.contains("--node HOST:PORT") == true)
    }

    @Test func `A node that is not there is named`() throws {
        var configuration = LoadConfiguration()
        configuration.port = 1
        let error = #expect(throws: LoadError.self) { try RawDriver(configuration) }
        #expect(error?.message.contains("127.0.0.1:1") == true)
    }

    @Test func `The drawing and the JSON are well-formed`() throws {
        let (report, _) = try run(.closed(inFlight: 4), requests: 500)
        final class Counter: NSObject, XMLParserDelegate {
            var elements = 0
            func parser(
                _ parser: XMLParser, didStartElement name: String, namespaceURI: String?, qualifiedName: String?,
                attributes: [String: String]
            ) { elements += 1 }
        }
        for report in [report, LoadReport()] {
            let parser = XMLParser(data: Data(report.svg.utf8))
            let counter = Counter()
            parser.delegate = counter
            #expect(parser.parse(), "\(String(describing: parser.parserError))")
            #expect(counter.elements > 20)
            let object = try JSONSerialization.jsonObject(with: report.json()) as? [String: Any]
            #expect(object?["throughput"] != nil)
            #expect(!report.text.isEmpty)
        }
    }
}
