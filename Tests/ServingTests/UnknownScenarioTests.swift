import TestSupport
import Testing

@testable import Serving

@Suite(.ownThreads) struct UnknownScenarioTests {
    private func message(_ names: [String]) -> String {
        let scenarios = Dictionary(uniqueKeysWithValues: names.map { ($0, ScenarioConfiguration()) })
        return ServingConfiguration(scenarios: scenarios).unknownScenario("hoem").message
    }

    @Test func `The rejection names the scenarios that there are`() {
        #expect(message(["", "home", "detail"]) == "no scenario is named 'hoem'; known: detail, home")
        #expect(message([""]) == "no scenario is named 'hoem'; this node has the default only")
        let many = message((10..<22).map { "s\($0)" })
        #expect(many.hasSuffix("known: s10, s11, s12, s13, s14, s15, s16, s17 and 4 more"))
    }
}
