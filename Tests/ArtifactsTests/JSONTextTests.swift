import TestSupport
import Testing

@testable import Artifacts

@Suite(.ownThreads) struct JSONTextTests {
    private func parse(_ text: String) throws -> JSONValue { try JSONText.parse(Array(text.utf8)) }

    @Test func valuesAreRead() throws {
        #expect(try parse(" null ") == .null)
        #expect(try parse("[true, false, -0, 12, 1.5, 2e3, -1E-2]") == [true, false, 0, 12, 1.5, 2000.0, -0.01])
        #expect(try parse(#"{"a":{"b":[]},"":{}}"#) == ["a": ["b": []], "": [:]])
        #expect(try parse(#""\"\\\/\b\f\n\r\t\u0041\ud83e\udd85é""#) == .string("\"\\/\u{8}\u{C}\n\r\tA🦅é"))
        #expect(try parse("9223372036854775807") == .int(.max))
        #expect(try parse("9223372036854775808") == .double(9_223_372_036_854_775_808))
    }

    @Test(arguments: [
        "", " ", "tru", "nul", "truex", "[1,]", "[1 2]", "{\"a\"}", "{\"a\":}", "{a:1}", "{\"a\":1,}", "01", "1.", ".5",
        "+1", "-",
        "1e", "1e999", "\"", "\"\\x\"", "\"\\u12\"", "\"\\ud800\"", "\"\\ud800\\u0041\"", "\"\\udc00\"", "\"a\nb\"",
        "{\"a\":1,\"a\":2}",
        "{\"a\":1,\"\\u0061\":2}", "[[[", "{}{}", "NaN", "Infinity", "'a'", "/**/1",
    ])
    func badTextIsRefused(text: String) {
        #expect(throws: JSONText.Fault.self) { try parse(text) }
    }

    @Test func textThatIsNotUTF8IsRefused() {
        #expect(throws: JSONText.Fault.self) { try JSONText.parse([0x22, 0xC3, 0x28, 0x22]) }
        #expect(throws: JSONText.Fault.self) { try JSONText.parse([0x22, 0xED, 0xA0, 0x80, 0x22]) }
    }

    @Test func nestingIsBounded() throws {
        func nested(_ depth: Int) -> String {
            String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
        }
        _ = try parse(nested(JSONText.depthMax))
        #expect(throws: JSONText.Fault.self) { try parse(nested(JSONText.depthMax + 1)) }
        #expect(throws: JSONText.Fault.self) { try parse(String(repeating: "{\"a\":", count: 1_000_000)) }
    }

    @Test(arguments: [true, false])
    func whatIsPrintedIsReadBack(indented: Bool) throws {
        var random = SeededGenerator(seed: 5)
        func value(_ depth: Int) -> JSONValue {
            switch Int.random(in: 0..<(depth < 4 ? 7 : 5), using: &random) {
            case 0: return .null
            case 1: return .bool(Bool.random(using: &random))
            case 2: return .int(Int64.random(in: .min ... .max, using: &random))
            case 3: return .double(Double(bitPattern: UInt64.random(in: 0..<(0x7FF << 52), using: &random)))
            case 4: return .string(["", "é\"\\\n\u{1}", "🦅", "plain"].randomElement(using: &random) ?? "")
            case 5: return .array((0..<Int.random(in: 0..<4, using: &random)).map { _ in value(depth + 1) })
            default:
                let keys = (0..<Int.random(in: 0..<4, using: &random)).map { "k\($0)\n" }
                return .object(Dictionary(uniqueKeysWithValues: keys.map { ($0, value(depth + 1)) }))
            }
        }
        for _ in 0..<500 {
            let value = value(0)
            #expect(try parse(JSONText.print(value, indented: indented)) == value)
        }
    }

    @Test func typedValuesTravel() throws {
        struct Report: Codable, Equatable { var recall: Double; var counts: [String: Int]; var note: String? }
        let report = Report(recall: 0.1816, counts: ["users": 3], note: nil)
        let value = try JSONValue(encoding: report)
        #expect(value["recall"]?.doubleValue == 0.1816)
        #expect(try value.decoded(as: Report.self) == report)
    }

    @Test func mutatedTextNeverTraps() {
        var random = SeededGenerator(seed: 6)
        let good = Array(#"{"a":[1,2.5e3,{"b":"\u00e9\ud83e\udd85 x"}],"c":null,"d":[true,false,-7]}"#.utf8)
        var refused = 0
        for _ in 0..<5000 {
            do { _ = try JSONText.parse(random.mutated(good)) } catch { refused += 1 }
        }
        #expect(refused > 1000)
    }
}
