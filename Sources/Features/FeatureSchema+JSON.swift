import Artifacts

// {"format": "martlet-features", "version": 1, "fields": [
//   {"name": "genres", "from": "item.attribute:genres", "categorical": {"dictionary": ["Action", ...]}, "multivalued": true},
//   {"name": "hour", "from": "context:hour", "categorical": {"hashed": 64}},
//   {"name": "user", "from": "user.id", "categorical": {"rows": 610}},
//   {"name": "price", "from": "item.attribute:price", "dense": {"log": {"mean": 2.1, "deviation": 0.8}}, "missing": 0},
//   {"name": "clicks", "from": "live.events:click:1h", "dense": "none", "missing": 0, "ttl_seconds": 3600}]}
extension FeatureSchema {
    package static let format = "martlet-features"

    /// - Parameter dictionaries: Whether dictionaries stand in it whole; else their sizes do.
    package func json(dictionaries: Bool = true) -> JSONValue {
        [
            "format": .string(Self.format), "version": .int(Int64(version)),
            "fields": .array(fields.map { $0.json(dictionaries: dictionaries) }),
        ]
    }

    /// Reads and checks a schema.
    ///
    /// - Parameters:
    ///   - path: The file it stands in, for messages.
    ///   - dictionary: The values of a field whose dictionary is kept elsewhere, by its name and size.
    /// - Throws: `ArtifactError` naming the field at fault.
    package init(
        json: JSONValue, path: String,
        dictionary: (String, Int) throws(ArtifactError) -> [String]? = { (_, _) throws(ArtifactError) in nil }
    ) throws(ArtifactError) {
        func invalid(_ fault: String) -> ArtifactError {
            ArtifactError(.invalidContent, path: path, "its feature schema \(fault)")
        }
        guard json["format"]?.stringValue == Self.format else {
            throw invalid("lacks \"format\": \"\(Self.format)\"")
        }
        guard let version = json["version"]?.intValue else { throw invalid("lacks a whole number \"version\"") }
        guard version <= Self.formatVersion else {
            throw ArtifactError(
                .newerFormat, path: path,
                "its feature schema has version \(version); this program reads up to \(Self.formatVersion)")
        }
        guard let list = json["fields"]?.arrayValue else { throw invalid("lacks the list \"fields\"") }
        guard list.count <= Self.fieldsMax else { throw invalid("has \(list.count) fields; at most \(Self.fieldsMax)") }
        fields = []
        for (number, value) in list.enumerated() {
            let name = value["name"]?.stringValue ?? "number \(number + 1)"
            do throws(FieldFault) {
                var values: [String]?
                if let count = value["categorical"]?["dictionary"]?.intValue {
                    do throws(ArtifactError) {
                        values = try dictionary(name, count)
                    } catch {
                        throw FieldFault(text: "has no dictionary: \(error.fault)")
                    }
                }
                fields.append(try FeatureField(json: value, dictionary: values))
            } catch {
                throw invalid("is wrong at the field \"\(name)\": it \(error.text)")
            }
        }
        if let fault = fault() { throw invalid("cannot be used: \(fault)") }
    }
}

/// What is wrong with a field's JSON, as the end of a sentence.
private struct FieldFault: Error {
    var text: String
}

extension FeatureField {
    fileprivate func json(dictionaries: Bool) -> JSONValue {
        var members: [String: JSONValue] = ["name": .string(name), "from": .string(source.text)]
        if side != source.side { members["side"] = .string(side.rawValue) }
        if let timeToLive { members["ttl_seconds"] = .int(Int64(timeToLive)) }
        switch kind {
        case .dense(let normalisation, let missing):
            members["dense"] = normalisation.json
            if let missing { members["missing"] = .double(missing) }
        case .categorical(let encoding, let isMultivalued):
            members["categorical"] =
                switch encoding {
                case .dictionary(let values):
                    [
                        "dictionary": dictionaries
                            ? .array(values.map { .string($0) }) : .int(Int64(values.count))
                    ]
                case .hashed(let buckets): ["hashed": .int(Int64(buckets))]
                case .rows(let count): ["rows": .int(Int64(count))]
                }
            if isMultivalued { members["multivalued"] = true }
        }
        return .object(members)
    }

    fileprivate init(json: JSONValue, dictionary: [String]?) throws(FieldFault) {
        guard let members = json.objectValue else { throw FieldFault(text: "is not an object") }
        let known: Set = ["name", "from", "side", "dense", "missing", "categorical", "multivalued", "ttl_seconds"]
        if let stranger = members.keys.sorted().first(where: { !known.contains($0) }) {
            throw FieldFault(text: "has the unknown key \"\(stranger)\"; \(known.sorted()) exist")
        }
        guard let name = members["name"]?.stringValue else { throw FieldFault(text: "lacks a \"name\"") }
        guard let from = members["from"]?.stringValue, let source = FeatureSource(from) else {
            throw FieldFault(
                text: "comes \"from\" \(members["from"]?.stringValue ?? "nowhere"); possible are \(FeatureSource.words)"
            )
        }
        var side = source.side
        if let text = members["side"]?.stringValue {
            guard let named = FeatureSide(rawValue: text) else {
                throw FieldFault(
                    text: "is of side \"\(text)\"; possible are \(FeatureSide.allCases.map(\.rawValue))")
            }
            side = named
        }
        var timeToLive: Int?
        if let value = members["ttl_seconds"], value != .null {
            guard let seconds = value.intValue else {
                throw FieldFault(text: "has something else than a whole number as \"ttl_seconds\"")
            }
            timeToLive = Int(seconds)
        }
        let kind: Kind
        switch (members["dense"], members["categorical"]) {
        case (let dense?, nil):
            var missing: Double?
            if let value = members["missing"], value != .null {
                guard let number = value.doubleValue else {
                    throw FieldFault(text: "has something else than a number as \"missing\"")
                }
                missing = number
            }
            kind = .dense(try Normalisation(json: dense), missing: missing)
        case (nil, let categorical?):
            var isMultivalued = false
            if let value = members["multivalued"] {
                guard case .bool(let flag) = value else {
                    throw FieldFault(text: "has a \"multivalued\" that is no truth")
                }
                isMultivalued = flag
            }
            kind = .categorical(
                try CategoricalEncoding(json: categorical, dictionary: dictionary), isMultivalued: isMultivalued)
        default: throw FieldFault(text: "must have one of \"dense\" and \"categorical\"")
        }
        self.init(name, from: source, side: side, timeToLive: timeToLive, kind)
    }
}

extension CategoricalEncoding {
    fileprivate init(json: JSONValue, dictionary: [String]?) throws(FieldFault) {
        guard let members = json.objectValue, members.count == 1, let (key, value) = members.first else {
            throw FieldFault(text: "needs one of \"dictionary\", \"hashed\" and \"rows\" in \"categorical\"")
        }
        switch (key, value) {
        case ("dictionary", .array(let elements)):
            let values = elements.compactMap(\.stringValue)
            guard values.count == elements.count else {
                throw FieldFault(text: "has something else than strings in its dictionary")
            }
            self = .dictionary(values)
        case ("dictionary", .int):
            guard let dictionary else { throw FieldFault(text: "names a dictionary that is not there") }
            self = .dictionary(dictionary)
        case ("hashed", .int(let count)): self = .hashed(buckets: Int(count))
        case ("rows", .int(let count)): self = .rows(count: Int(count))
        default: throw FieldFault(text: "has an encoding \"\(key)\" that cannot be read")
        }
    }
}

extension Normalisation {
    fileprivate var json: JSONValue {
        switch self {
        case .none: "none"
        case .standard(let mean, let deviation):
            ["standard": ["mean": .double(mean), "deviation": .double(deviation)]]
        case .log(let mean, let deviation): ["log": ["mean": .double(mean), "deviation": .double(deviation)]]
        case .quantile(let edges): ["quantile": .array(edges.map { .double($0) })]
        }
    }

    fileprivate init(json: JSONValue) throws(FieldFault) {
        if json.stringValue == "none" {
            self = .none
            return
        }
        guard let members = json.objectValue, members.count == 1, let (key, value) = members.first,
            let form = Form(rawValue: key), form != .none
        else { throw FieldFault(text: "needs \"none\" or one of \"standard\", \"log\" and \"quantile\" in \"dense\"") }
        if form == .quantile {
            let edges = value.arrayValue?.compactMap(\.doubleValue) ?? []
            guard edges.count == value.arrayValue?.count else {
                throw FieldFault(text: "has edges that are no numbers")
            }
            self = .quantile(edges: edges)
            return
        }
        guard let mean = value["mean"]?.doubleValue, let deviation = value["deviation"]?.doubleValue else {
            throw FieldFault(text: "lacks the numbers \"mean\" and \"deviation\" in \"\(key)\"")
        }
        self = form == .standard ? .standard(mean: mean, deviation: deviation) : .log(mean: mean, deviation: deviation)
    }
}
