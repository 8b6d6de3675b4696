import LoadGenerator
import Testing

@Suite struct ConfigurationTests {
    @Test func `User names follow the pattern`() {
        let users = UserSource.pattern("u#######", count: 1_000_000)
        #expect(users.name(0) == "u0000001")
        #expect(users.name(999_999) == "u1000000")
        #expect(UserSource.pattern("a#-##x", count: 200).name(99) == "a#-100x")
        #expect(UserSource.pattern("user", count: 3).name(2) == "user3")
    }

    @Test func `A mix is read and sorted`() throws {
        let mix = try MethodMix(parsing: "item=5, recommend=90,similar=0,many")
        #expect(mix.weights.map(\.method.name) == ["Recommend", "RecommendMany", "GetItem"])
        #expect(mix.weights.map(\.weight) == [90, 1, 5])
    }

    @Test(arguments: [
        "", "recommend=0", "recommend=x", "recommend=1,recommend=2", "load=1", "recommend=-1", "item=1=2",
    ])
    func `A mix that cannot be is refused`(text: String) {
        #expect(throws: LoadError.self) { try MethodMix(parsing: text) }
    }

    @Test func `Bounds are checked`() {
        func refuses(_ change: (inout LoadConfiguration) -> Void) -> Bool {
            var configuration = LoadConfiguration()
            change(&configuration)
            do throws(LoadError) { try configuration.validate() } catch { return true }
            return false
        }
        #expect(!refuses { _ in })
        #expect(refuses { $0.mode = .open(rate: 0) })
        #expect(refuses { $0.mode = .closed(inFlight: 5000) })
        #expect(refuses { $0.connections = 0 })
        #expect(refuses { $0.threads = 65 })
        #expect(refuses { $0.duration = .infinity })
        #expect(refuses { $0.users = .pattern("u#", count: 0) })
        #expect(refuses { $0.users = .list([String(repeating: "x", count: 256)]) })
        #expect(refuses { $0.exponent = -1 })
    }
}
