import Artifacts
import Features
import Testing

@Suite struct FeatureSchemaTests {
    private let schema = FeatureSchema(fields: [
        FeatureField("user", from: .userID, .categorical(.rows(count: 610), isMultivalued: false)),
        FeatureField(
            "genres", from: .itemAttribute("genres"),
            .categorical(.dictionary(["Action", "Drama"]), isMultivalued: true)),
        FeatureField("hour", from: .context("hour"), .categorical(.hashed(buckets: 24), isMultivalued: false)),
        FeatureField("price", from: .itemAttribute("price"), .dense(.log(mean: 2, deviation: 0.5), missing: 1)),
        FeatureField("age", from: .context("age"), side: .live, .dense(.standard(mean: 3, deviation: 2), missing: 4)),
        FeatureField("rank", from: .retrievalRank, .dense(.quantile(edges: [1, 2, 4, 8]), missing: 200)),
        FeatureField("als", from: .factorProduct("als"), .dense(.none, missing: 0)),
    ])

    @Test func `a schema reads back as it was written`() throws {
        let text = JSONText.print(schema.json(), indented: true)
        let read = try FeatureSchema(json: JSONText.parse(Array(text.utf8)), path: "schema.json")
        #expect(read == schema)
        #expect(read.hash == schema.hash)
        #expect(schema.hash.count == 64)
        // Without its dictionaries it needs somebody who knows them.
        let short = schema.json(dictionaries: false)
        let again = try FeatureSchema(json: short, path: "schema.json") { name, count in
            name == "genres" && count == 2 ? ["Action", "Drama"] : nil
        }
        #expect(again == schema)
        #expect(throws: ArtifactError.self) { try FeatureSchema(json: short, path: "schema.json") }
    }

    @Test func `whatever changes a feature changes the hash`() {
        var hashes: Set = [schema.hash]
        var other = schema
        other.fields[1].kind = .categorical(.dictionary(["Drama", "Action"]), isMultivalued: true)
        hashes.insert(other.hash)
        other.fields[2].kind = .categorical(.hashed(buckets: 25), isMultivalued: false)
        hashes.insert(other.hash)
        other.fields[3].kind = .dense(.log(mean: 2, deviation: 0.5), missing: 0)
        hashes.insert(other.hash)
        other.fields.swapAt(0, 1)
        hashes.insert(other.hash)
        #expect(hashes.count == 5)
    }

    @Test(arguments: [
        ("{}", "lacks \"format\""),
        ("{\"format\":\"martlet-features\",\"version\":99,\"fields\":[]}", "version 99"),
        ("{\"format\":\"martlet-features\",\"version\":1,\"fields\":[]}", "0 fields"),
        (field("\"from\":\"item.color\",\"dense\":\"none\""), "comes \"from\" item.color"),
        (field("\"from\":\"context:a\""), "must have one of"),
        (field("\"from\":\"context:a\",\"dense\":{\"standard\":{\"mean\":0}}"), "\"mean\" and \"deviation\""),
        (field("\"from\":\"context:a\",\"dense\":{\"standard\":{\"mean\":0,\"deviation\":0}}"), "deviation 0"),
        (field("\"from\":\"context:a\",\"dense\":{\"quantile\":[3,2]}"), "ascending"),
        (field("\"from\":\"context:a\",\"categorical\":{\"hashed\":0}"), "0 buckets"),
        (field("\"from\":\"context:a\",\"categorical\":{\"hashed\":-5}"), "-5 buckets"),
        (field("\"from\":\"context:a\",\"categorical\":{\"dictionary\":[1]}"), "something else than strings"),
        (field("\"from\":\"context:a\",\"categorical\":{\"dictionary\":[\"b\",\"b\"]}"), "twice"),
        (field("\"from\":\"context:a\",\"categorical\":{\"rows\":7}"), "user.id and item.id"),
        (field("\"from\":\"context:a\",\"categorical\":{\"hashed\":999999999}"), "999999999 buckets"),
        (field("\"from\":\"context:a\",\"dense\":\"none\",\"colour\":1"), "unknown key \"colour\""),
        (field("\"from\":\"context:a\",\"dense\":\"none\",\"ttl_seconds\":9"), "live features alone"),
        (field("\"from\":\"live.idle\",\"dense\":\"none\",\"ttl_seconds\":0"), "0 seconds"),
        (field("\"from\":\"live.idle\",\"dense\":\"none\",\"ttl_seconds\":\"1h\""), "whole number"),
        (field("\"from\":\"live.idle\",\"categorical\":{\"hashed\":9}"), "a live feature, which is a number"),
        (field("\"from\":\"live.events:5m\",\"dense\":\"none\""), "comes \"from\" live.events:5m"),
    ])
    func `what cannot be used is refused with its field`(text: String, reason: String) throws {
        let json = try JSONText.parse(Array(text.utf8))
        let error = #expect(throws: ArtifactError.self) { try FeatureSchema(json: json, path: "dir/schema.json") }
        #expect(error?.description.contains(reason) == true, "\(error?.description ?? "")")
        #expect(error?.path == "dir/schema.json")
    }

    private static func field(_ members: String) -> String {
        "{\"format\":\"martlet-features\",\"version\":1,\"fields\":[{\"name\":\"x\",\(members)}]}"
    }

    @Test func `live features read back with their time to live, under a version that older programs refuse`() throws {
        let texts = [
            "live.events:1m", "live.events:positive:1h", "live.events:negative:1d", "live.events:shown:1d",
            "live.events:add-to.cart:1h", "live.session.events", "live.session.items", "live.session.seconds",
            "live.idle", "live.pair:1d", "live.pair:shown:1h",
        ]
        var fields: [FeatureField] = []
        for (number, text) in texts.enumerated() {
            let source = try #require(FeatureSource(text))
            #expect(source.text == text && source.side == .live && source.live != nil)
            fields.append(FeatureField("f\(number)", from: source, .dense(.none, missing: 0)))
        }
        #expect(fields.map(\.timeToLive) == [60, 3600, 86_400, 86_400, 3600, 1800, 1800, 1800, 86_400, 86_400, 3600])
        #expect(fields.map(\.isPerCandidate) == texts.map { $0.hasPrefix("live.pair") })
        fields[3].timeToLive = 77
        let live = FeatureSchema(fields: fields)
        #expect(live.fault() == nil && live.version == 2 && schema.version == 1)
        #expect(live.json()["version"] == .int(2) && schema.json()["version"] == .int(1))
        let read = try FeatureSchema(
            json: JSONText.parse(Array(JSONText.print(live.json(), indented: false).utf8)), path: "s")
        #expect(read == live && read.hash == live.hash)
        var other = live
        other.fields[3].timeToLive = 78
        #expect(other.hash != live.hash)
        for text in [
            "live.events", "live.events:2h", "live.events:Upper:1h", "live.events:a:b:1h", "live.pair", "live.x",
        ] {
            #expect(FeatureSource(text) == nil, "\(text)")
        }
    }

    @Test func `values become rows and numbers, missing ones their default`() {
        let layout = FeatureLayout(schema)
        #expect(layout.tableRows == 611 + 3 + 25)
        #expect(layout.categorical.map(\.tableOffset) == [0, 611, 614])
        #expect(layout.dense.map(\.side) == [.item, .live, .cross, .cross])
        func encoder(_ number: Int) -> FieldEncoder {
            let offset = layout.categorical.first { $0.field == number }?.tableOffset ?? 0
            return FieldEncoder(schema.fields[number], tableOffset: offset)
        }
        #expect(encoder(0).row(ofBundleRow: 0) == 1)
        #expect(encoder(0).row(ofBundleRow: 609) == 610)
        #expect(encoder(0).row(ofBundleRow: 610) == 0)
        #expect(encoder(0).row(ofBundleRow: nil) == 0)
        #expect(encoder(1).row(of: "Action") == 612 && encoder(1).row(of: "Drama") == 613)
        #expect(encoder(1).row(of: "Noir") == 611 && encoder(1).row(of: "") == 611)
        let hashed = (0..<200).map { encoder(2).row(of: "value \($0)") }
        #expect(hashed.allSatisfy { (615...638).contains($0) } && Set(hashed).count == 24)
        #expect(encoder(3).number(nil) == encoder(3).number(1) && encoder(3).number(.nan) == encoder(3).number(1))
        #expect(encoder(4).number(5) == 1 && encoder(4).number(nil) == 0.5)
        #expect(encoder(5).number(1) == -1 && encoder(5).number(99) == 1 && encoder(5).number(0) == -1)
        #expect(abs(encoder(5).number(3) - 0) < 1e-6)
    }

    @Test func `a number without a default stays missing, and is nothing for a network`() throws {
        let text = Self.field("\"from\":\"context:a\",\"dense\":\"none\"")
        let schema = try FeatureSchema(json: try JSONText.parse(Array(text.utf8)), path: "s")
        #expect(schema.fields[0].kind == .dense(.none, missing: nil))
        let encoder = FieldEncoder(schema.fields[0], tableOffset: 0)
        #expect(encoder.number(nil).isNaN && encoder.number(.infinity).isNaN && encoder.number(2) == 2)
        #expect(schema.networkFault()?.contains("the field \"x\" declares no \"missing\"") == true)
        var declared = schema
        declared.fields[0].kind = .dense(.none, missing: 0)
        #expect(declared.networkFault() == nil && declared.hash != schema.hash)
        #expect(try FeatureSchema(json: schema.json(), path: "s") == schema)
        let null = Self.field("\"from\":\"context:a\",\"dense\":\"none\",\"missing\":null")
        #expect(try FeatureSchema(json: try JSONText.parse(Array(null.utf8)), path: "s") == schema)
    }

    @Test func `normalisations are fitted to what they see`() {
        let values = (0..<1001).map { Double($0) } + [.nan, .infinity]
        guard case .standard(let mean, let deviation) = Normalisation.fit(.standard, to: values) else {
            Issue.record("not standard")
            return
        }
        #expect(mean == 500 && abs(deviation - 288.96) < 0.01)
        let quantile = Normalisation.fit(.quantile, to: values)
        #expect(abs(quantile.apply(500)) < 1e-6 && quantile.apply(0) == -1 && quantile.apply(1e9) == 1)
        #expect(abs(quantile.apply(750) - 0.5) < 1e-6)
        // What never varies has no width to divide by.
        for form in Normalisation.Form.allCases {
            #expect(Normalisation.fit(form, to: [3, 3, 3]).apply(3).isFinite)
            #expect(Normalisation.fit(form, to: []).apply(3).isFinite)
        }
    }
}
