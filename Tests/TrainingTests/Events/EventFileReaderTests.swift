import TestSupport
import Testing
import Vocabulary

@testable import Training

/// What a file of events gave.
struct ReadEvents {
    var events: [UserEvent] = []
    var faults: [(line: Int, fault: EventLineFault)] = []
    var passedOver: [String] = []

    init(_ path: String, format: EventFileFormat? = nil, type: String? = nil) throws {
        let reader = try EventFileReader(path, format: format, defaultType: type)
        while let line = try reader.next() {
            switch line.event {
            case .success(let event): events.append(event)
            case .failure(let fault): faults.append((line.number, fault))
            }
        }
        passedOver = reader.passedOver
    }
}

/// Events with everything that an ID or a text may hold.
func inventedEvents(_ count: Int, _ random: inout SeededGenerator) -> [UserEvent] {
    let pieces = [
        "a", "user", "7", "007", "ü", "日本", ",", ";", "\t", "\"", "'", "\n", "\r", " ", "{", "}", "\\", "/", "😀",
        "\u{1}", ":", "=",
    ]
    func text(_ most: Int, least: Int = 1) -> String {
        var text = ""
        for _ in 0..<Int.random(in: least...12, using: &random) {
            let piece = pieces.randomElement(using: &random) ?? "a"
            if text.utf8.count + piece.utf8.count <= most { text += piece }
        }
        return text.isEmpty && least > 0 ? "x" : text
    }
    return (0..<count).map { _ in
        var event = UserEvent(user: text(255), item: text(255), type: text(40))
        if Bool.random(using: &random) {
            let value = Float(bitPattern: UInt32.random(in: 0...UInt32.max, using: &random))
            event.value = value.isFinite ? value : -0.5
        }
        if Bool.random(using: &random) {
            event.timeMilliseconds = UInt64.random(in: EventTime.plausible, using: &random)
        }
        event.scenario = text(100, least: 0)
        event.requestID = text(64, least: 0)
        event.id = text(64, least: 0)
        return event
    }
}

@Suite("Files of events", .ownThreads) struct EventFileReaderTests {
    let folder: ScratchFolder

    init() throws { folder = try ScratchFolder() }

    @Test("what is written is read again as it was", arguments: EventFileFormat.allCases)
    func roundTrip(format: EventFileFormat) throws {
        for seed in UInt64(1)...8 {
            var random = SeededGenerator(seed: seed)
            let events = inventedEvents(300, &random)
            let writer = EventFileWriter(format)
            let text = writer.beginning + events.map(writer.line).joined()
            let path = try seed % 2 == 0 ? folder.write("e", text) : folder.writeGzip("e\(seed).gz", Array(text.utf8))
            let read = try ReadEvents(path)
            #expect(read.faults.isEmpty && read.passedOver.isEmpty, "seed \(seed): \(read.faults.prefix(3))")
            #expect(read.events == events, "seed \(seed)")
            #expect(Set(read.events.map(\.contentID)).count == Set(events).count)
        }
    }

    @Test("JSON keys and columns go by many names, and the plainest wins")
    func aliases() throws {
        let json = try folder.write(
            "a.jsonl",
            #"""
            {"userId": 7, "movieId": "m1", "rating": 4.5, "timestamp": 1700000000, "event": "rating", "device": "tv"}

            {"user":"a","session_id":"s","item":"i","type":"click","value":null,"time":"2023-11-14T22:13:20.5Z","id":"e1","requestId":"r","placement":"home"}
            """#)
        let read = try ReadEvents(json)
        #expect(read.faults.isEmpty)
        #expect(read.passedOver == ["device"])
        var first = UserEvent(user: "7", item: "m1", type: "rating", value: 4.5)
        first.timeMilliseconds = 1_700_000_000_000
        var second = UserEvent(user: "a", item: "i", type: "click", scenario: "home", requestID: "r", id: "e1")
        second.timeMilliseconds = 1_700_000_000_500
        #expect(read.events == [first, second])

        let csv = try folder.write("b.csv", "\u{FEFF}session_id;User ID;sku;ts;\r\nx;a;\"i;1\";1700000000500;z\r\n")
        let other = try ReadEvents(csv, type: "click")
        var event = UserEvent(user: "a", item: "i;1", type: "click")
        event.timeMilliseconds = 1_700_000_000_500
        #expect(other.events == [event], "\(other.faults)")
        let tsv = try folder.write("c", "user\titem\taction\nu 1\ti\tview\n")
        #expect(try ReadEvents(tsv).events == [UserEvent(user: "u 1", item: "i", type: "view")])
    }

    @Test(
        "times are told apart by their size and form, and dates that lost their dashes are no times",
        arguments: [
            ("1700000000", 1_700_000_000_000), ("1700000000.25", 1_700_000_000_250),
            ("1700000000123", 1_700_000_000_123),
            ("1700000000123456", 1_700_000_000_123), ("1700000000123456789", 1_700_000_000_123),
            ("2023-11-14T22:13:20Z", 1_700_000_000_000), ("2023-11-14 23:13:20+01:00", 1_700_000_000_000),
            ("2023-11-14", 1_699_920_000_000), ("0", 0), ("", 0), ("20231114", nil), ("20231114221320", nil),
            ("12", nil), ("-5", nil), ("soon", nil), ("2023-13-01", nil), ("1e400", nil),
            ("9999999999999999999999", nil),
        ] as [(String, UInt64?)])
    func times(text: String, milliseconds: UInt64?) throws {
        let read = try ReadEvents(folder.write("t.csv", "user,item,type,time\nu,i,t,\(text)\n"))
        #expect(read.events.first?.timeMilliseconds == milliseconds)
        if milliseconds == nil {
            #expect(read.faults.first?.fault.message.contains("from 1973-03-03 to 2100") == true)
            #expect(read.faults.first?.line == 2)
        }
    }

    @Test("times are written as they are read")
    func timeTexts() {
        var random = SeededGenerator(seed: 3)
        for _ in 0..<2000 {
            let time = UInt64.random(in: EventTime.plausible, using: &random)
            #expect(EventTime.parse(EventTime.text(time)) == time, "\(time) \(EventTime.text(time))")
        }
        #expect(EventTime.text(1_700_000_000_000) == "2023-11-14T22:13:20Z")
        #expect(EventTime.point("90s", now: 1_700_000_000_000) == 1_699_999_910_000)
        #expect(EventTime.point("1.5d", now: 1_700_000_000_000) == 1_700_000_000_000 - 129_600_000)
        #expect(
            EventTime.duration("30m") == 1_800_000 && EventTime.duration("30") == nil && EventTime.duration("0s") == nil
        )
        #expect(EventTime.point("7", now: 1_700_000_000_000) == nil && EventTime.point("yesterday", now: 1) == nil)
    }

    @Test("a line that is no event costs that line, with its number and why")
    func faults() throws {
        let long = String(repeating: "x", count: 1_000_000)
        let json = try folder.write(
            "f.jsonl",
            [
                #"{"user":"u","item":"i","type":"t"}"#, "nonsense", "[1]", #"{"user":"u","type":"t"}"#,
                #"{"user":"u","item":"","type":"t"}"#, #"{"user":1.5,"item":"i","type":"t"}"#,
                #"{"user":"u","item":["i"],"type":"t"}"#, #"{"user":"u","item":"i","type":"t","value":"many"}"#,
                #"{"user":"u","item":"\#(long)","type":"t"}"#,
                #"{"user":"\#(long.prefix(300))","item":"i","type":"t"}"#,
                #"{"user":"u","item":"i","type":"t","id":"\#(long.prefix(65))"}"#, #"{"user":"u","item":"i"}"#,
                #"{"user":"u","user":"v","item":"i","type":"t"}"#, #"{"user":"v","item":"i","type":"t"}"#,
            ].joined(separator: "\n"))
        let read = try ReadEvents(json)
        #expect(read.events.map(\.user) == ["u", "v"])
        #expect(read.faults.map(\.line) == Array(2...13))
        #expect(
            read.faults.map(\.fault.reason) == [
                "no JSON", "no JSON", "no item", "no item", "user is no text", "item is no text", "no number as value",
                "line too long", "user too long", "id too long", "no type", "no JSON",
            ])
        #expect(read.faults.allSatisfy { $0.fault.message.utf8.count < 300 })

        let csv = try folder.write(
            "f.csv",
            Array("user,item,type,value\nu,i,t\nu,i,t,1,2\nu,\"open,t,1\nu,i,t,inf\n".utf8) + [0xE9]
                + Array(",i,t,1\nv,i,t,2".utf8))
        let rows = try ReadEvents(csv)
        #expect(rows.events.map(\.user) == ["u", "v"])
        #expect(rows.faults.map(\.line) == [3, 4, 5, 6])
        #expect(
            rows.faults.map(\.fault.reason) == ["too many fields", "open quote", "no number as value", "not UTF-8"])
    }

    @Test(
        "a file that holds no events says what to do",
        arguments: [
            ("", "", nil), ("{", "", nil), ("[{\"user\":1}]", "jq -c", nil), ("words", "--format", nil),
            ("a,b,c\n1,2,3\n", "no column is named user", nil), ("usr,item,type\nu,i,t\n", "('usr'?)", nil),
            ("user,thing,type\nu,i,t\n", "no column is named item", nil), ("user,item\nu,i\n", "--type TYPE", nil),
            ("a\0b,c", "binary", nil), ("user,\"item,type\n", "never closed", nil),
        ] as [(String, String, String?)])
    func noEvents(text: String, words: String, type: String?) throws {
        let path = try folder.write("n.txt", text)
        do {
            let read = try ReadEvents(path, type: type)
            #expect(read.events.isEmpty && words.isEmpty, "\(read)")
        } catch let error as DatasetError {
            #expect(!words.isEmpty && error.message.contains(words), "\(error)")
            #expect(error.message.hasPrefix(path))
        }
        #expect(throws: DatasetError.self) { try ReadEvents(folder.path + "/absent") }
        #expect(throws: DatasetError.self) { try ReadEvents(folder.path) }
        let utf16 = try folder.write("u.csv", [0xFF, 0xFE] + Array("user".utf8).flatMap { [$0, 0] })
        #expect(throws: DatasetError.self) { try ReadEvents(utf16) }
        let latin = try folder.write("l.csv", Array("us\u{65}r,item,t".utf8) + [0xE9, 0x0A])
        #expect(throws: DatasetError.self) { try ReadEvents(latin) }
    }

    @Test("no bytes make the reader fail in another way than by saying so", arguments: 1...6)
    func fuzz(seed: Int) throws {
        var random = SeededGenerator(seed: UInt64(seed))
        for round in 0..<150 {
            let format = EventFileFormat.allCases[round % 3]
            let writer = EventFileWriter(format)
            let text = writer.beginning + inventedEvents(6, &random).map(writer.line).joined()
            let path = try folder.write("z", random.mutated(Array(text.utf8)))
            do {
                let read = try ReadEvents(path, format: round % 2 == 0 ? format : nil)
                for event in read.events {
                    #expect((1...255).contains(event.user.utf8.count) && (1...255).contains(event.item.utf8.count))
                    #expect(event.id.utf8.count <= 64 && event.value.map(\.isFinite) ?? true)
                }
            } catch {
                #expect(error is DatasetError, "seed \(seed), round \(round): \(error)")
            }
        }
    }
}
