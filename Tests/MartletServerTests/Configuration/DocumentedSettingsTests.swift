import TestSupport
import Testing

@testable import MartletServer

@Suite struct DocumentedSettingsTests {
    @Test func `the README lists every setting with its default, its variable and its meaning`() throws {
        let defaults = ServerConfiguration()
        let documented = Set(try Repository.lines(of: "README.md", startingWith: "| `"))
        for setting in Setting.all {
            let value = setting.text(in: defaults).map { "`\($0)`" } ?? ""
            let help = setting.help.hasSuffix(".") ? String(setting.help.dropLast()) : setting.help
            let row = "| `\(setting.key)` | \(value) | `\(setting.variable)` | \(help) |"
            #expect(documented.contains(row), "README.md lacks: \(row)")
        }
    }

    @Test func `the example of Deploy is valid and says nothing twice`() throws {
        let path = "Deploy/martlet.example.yaml"
        let loaded = try ServerConfiguration.load(file: (path, try Repository.text(of: path)))
        #expect(loaded.configuration.scenarios.count == 2)
        #expect(loaded.configuration.bundle == "/var/lib/martlet/models/current")
    }
}
