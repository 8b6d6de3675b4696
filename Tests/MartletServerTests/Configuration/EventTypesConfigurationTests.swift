import LiveState
import Testing

@testable import MartletServer

@Suite struct EventTypesConfigurationTests {
    @Test("types of the file take the place of standard ones, come beside them, or go")
    func changes() throws {
        let text = """
            event_types:
              view: {weight: 0.25, flags: [seen]}
              impression: off
              skip: {weight: -0.5}
            """
        let loaded = try ServerConfiguration.load(file: ("f", text))
        let types = loaded.configuration.events.types
        #expect(types.first { $0.name == "view" } == EventType("view", weight: 0.25, .seen))
        #expect(types.first { $0.name == "skip" } == EventType("skip", weight: -0.5))
        #expect(!types.contains { $0.name == "impression" })
        #expect(types.count == EventTypes.standardTypes.count)
        let again = try ServerConfiguration.load(file: ("printed", loaded.yaml()))
        #expect(again.configuration == loaded.configuration)
    }

    @Test(
        "a mistake is named with its line and what is meant",
        arguments: [
            ("event_types: 3", "f:1: 'event_types' must hold"),
            ("event_types:\n  view: 3", "f:2: 'event_types.view' must be like"),
            ("event_types:\n  view: {weight: many}", "event_types.view.weight: 'many' is not a number"),
            ("event_types:\n  view: {weight: 1, flags: seen}", "'event_types.view.flags' must be a list of"),
            ("event_types:\n  view: {flags: [sen]}", "'sen' is not one of seen, hides"),
            ("event_types:\n  view: {wait: 1}", "unknown key 'event_types.view.wait'"),
            ("event_types:\n  Big: {weight: 1}", "a name is 1 to 64"),
            ("event_types:\n  both: {flags: [hides, unhides]}", "exclude each other"),
        ])
    func mistakes(yaml: String, words: String) {
        let error = #expect(throws: ConfigurationError.self) { try ServerConfiguration.load(file: ("f", yaml)) }
        #expect(error?.problems.count == 1 && error?.description.contains(words) == true, "\(error?.description ?? "")")
    }
}
