import Serving
import Wire
import Yams

/// Reads what a scenario says of re-ranking.
extension ConfigurationFile {
    mutating func readReranking(_ node: Node, key: String) -> RerankingConfiguration? {
        let problemsBefore = problems.count
        var reranking = RerankingConfiguration()
        for (part, keyNode, value) in fields(
            node, key, of: ["pool", "diversity", "caps", "pins", "boosts", "exploration"])
        {
            let key = "\(key).\(part)"
            switch part {
            case "pool":
                reranking.pool = scalar(value, key) { (text) throws(SettingFault) in
                    try SettingValue.integer(text, in: 1...RerankingConfiguration.poolMax)
                }
            case "diversity": reranking.diversity = readDiversity(value, keyNode, key)
            case "caps":
                for (entry, key) in entries(value, key, like: "{attribute: category, most: 3}") {
                    if let cap = readCap(entry, key) { reranking.caps.append(cap) }
                }
            case "pins":
                for (entry, key) in entries(value, key, like: "{item: m001, place: 1}") {
                    if let pin = readPin(entry, key) { reranking.pins.append(pin) }
                }
            case "boosts":
                for (entry, key) in entries(value, key, like: "{attribute: brand, value: acme, factor: 1.2}") {
                    if let boost = readBoost(entry, key) { reranking.boosts.append(boost) }
                }
            default: reranking.exploration = readExploration(value, keyNode, key)
            }
        }
        // What could not be read is missing; faults of what is left would be false ones.
        guard problems.count == problemsBefore else { return nil }
        if let fault = reranking.fault() {
            fail(node, "\(key): \(fault)")
            return nil
        }
        return reranking
    }

    /// The keys of a mapping that are among `known`; the others are told of.
    private mutating func fields(_ node: Node, _ key: String, of known: [String]) -> [(String, Node, Node)] {
        guard case .mapping(let mapping) = node else {
            fail(node, "'\(key)' must hold settings: \(known.joined(separator: ", "))")
            return []
        }
        var fields: [(String, Node, Node)] = []
        for (keyNode, value) in mapping {
            let part = keyNode.scalar?.string ?? ""
            if known.contains(part) {
                fields.append((part, keyNode, value))
            } else {
                failUnknown(keyNode, "\(key).\(part)", known: known.map { "\(key).\($0)" })
            }
        }
        return fields
    }

    private mutating func entries(_ node: Node, _ key: String, like example: String) -> [(Node, String)] {
        guard case .sequence(let sequence) = node else {
            fail(node, "'\(key)' must be a list, such as [\(example)]")
            return []
        }
        return sequence.enumerated().map { ($1, "\(key)[\($0)]") }
    }

    /// Says what an entry must be like, unless a problem of it was told already.
    private mutating func failShape(_ node: Node, since before: Int, _ message: String) {
        if problems.count == before { fail(node, message) }
    }

    private mutating func name(_ node: Node, _ key: String) -> String? {
        scalar(node, key) { (text) throws(SettingFault) in
            guard (1...RequestLimits.idBytesMax).contains(text.utf8.count) else {
                throw SettingFault(expected: "a name of 1 to \(RequestLimits.idBytesMax) bytes")
            }
            return text
        }
    }

    private mutating func number(_ node: Node, _ key: String) -> Float? {
        scalar(node, key) { (text) throws(SettingFault) in
            guard let number = Float(text), number.isFinite else {
                throw SettingFault(expected: "a number, such as 0.3")
            }
            return number
        }
    }

    private mutating func whole(_ node: Node, _ key: String, _ range: ClosedRange<Int>) -> Int? {
        scalar(node, key) { (text) throws(SettingFault) in try SettingValue.integer(text, in: range) }
    }

    private mutating func readDiversity(
        _ node: Node, _ keyNode: Node, _ key: String
    ) -> RerankingConfiguration.Diversity? {
        let before = problems.count
        var by: String?
        var attribute: String?
        var strength: Float?
        for (part, _, value) in fields(node, key, of: ["by", "attribute", "strength"]) {
            switch part {
            case "by":
                by = scalar(value, "\(key).by") { (text) throws(SettingFault) in
                    guard text == "factors" || text == "attribute" else {
                        throw SettingFault(expected: "factors or attribute")
                    }
                    return text
                }
            case "attribute": attribute = name(value, "\(key).attribute")
            default: strength = number(value, "\(key).strength")
            }
        }
        guard let by, let strength, (by == "attribute") == (attribute != nil) else {
            failShape(
                keyNode, since: before,
                "'\(key)' must be like {by: factors, strength: 0.3} or {by: attribute, attribute: genres, strength: 0.3}"
            )
            return nil
        }
        return .init(by: by == "factors" ? .factors : .attribute(attribute ?? ""), strength: strength)
    }

    private mutating func readCap(_ node: Node, _ key: String) -> RerankingConfiguration.Cap? {
        let before = problems.count
        var attribute: String?
        var most: Int?
        for (part, _, value) in fields(node, key, of: ["attribute", "most"]) {
            if part == "most" {
                most = whole(value, "\(key).most", 1...RequestLimits.kMax)
            } else {
                attribute = name(value, "\(key).attribute")
            }
        }
        guard let attribute, let most else {
            failShape(node, since: before, "'\(key)' must be like {attribute: category, most: 3}")
            return nil
        }
        return .init(attribute: attribute, most: most)
    }

    private mutating func readPin(_ node: Node, _ key: String) -> RerankingConfiguration.Pin? {
        let before = problems.count
        var item: String?
        var place: Int?
        for (part, _, value) in fields(node, key, of: ["item", "place"]) {
            if part == "place" {
                place = whole(value, "\(key).place", 1...RequestLimits.kMax)
            } else {
                item = name(value, "\(key).item")
            }
        }
        guard let item, let place else {
            failShape(node, since: before, "'\(key)' must be like {item: m001, place: 1}")
            return nil
        }
        return .init(item: item, place: place)
    }

    private mutating func readBoost(_ node: Node, _ key: String) -> RerankingConfiguration.Boost? {
        let before = problems.count
        var (item, attribute, wanted): (String?, String?, String?)
        var (factor, add): (Float?, Float?)
        for (part, _, value) in fields(node, key, of: ["item", "attribute", "value", "factor", "add"]) {
            switch part {
            case "item": item = name(value, "\(key).item")
            case "attribute": attribute = name(value, "\(key).attribute")
            case "value": wanted = name(value, "\(key).value")
            case "factor": factor = number(value, "\(key).factor")
            default: add = number(value, "\(key).add")
            }
        }
        let target: RerankingConfiguration.Boost.Target
        switch (item, attribute, wanted) {
        case (let item?, nil, nil): target = .item(item)
        case (nil, let attribute?, let wanted?): target = .value(attribute: attribute, wanted)
        default:
            failShape(node, since: before, "'\(key)' must name either an item, or an attribute and its value")
            return nil
        }
        guard factor != nil || add != nil else {
            failShape(node, since: before, "'\(key)' must say by how much: factor, add or both")
            return nil
        }
        return .init(target, factor: factor ?? 1, add: add ?? 0)
    }

    private mutating func readExploration(
        _ node: Node, _ keyNode: Node, _ key: String
    ) -> RerankingConfiguration.Exploration? {
        let before = problems.count
        var (method, epsilon, temperature): (String?, Float?, Float?)
        var (protected, among): (Int?, Int?)
        for (part, _, value) in fields(
            node, key, of: ["method", "epsilon", "temperature", "protected", "among"])
        {
            switch part {
            case "method":
                method = scalar(value, "\(key).method") { (text) throws(SettingFault) in
                    guard text == "epsilon" || text == "softmax" else {
                        throw SettingFault(expected: "epsilon or softmax")
                    }
                    return text
                }
            case "epsilon": epsilon = number(value, "\(key).epsilon")
            case "temperature": temperature = number(value, "\(key).temperature")
            case "protected": protected = whole(value, "\(key).protected", 0...RequestLimits.kMax)
            default: among = whole(value, "\(key).among", 1...RerankingConfiguration.poolMax)
            }
        }
        let drawn: RerankingConfiguration.Exploration.Method
        switch (method, epsilon, temperature) {
        case ("epsilon", let epsilon?, nil): drawn = .epsilon(epsilon)
        case ("softmax", nil, let temperature?): drawn = .softmax(temperature: temperature)
        default:
            failShape(
                keyNode, since: before,
                "'\(key)' must be like {method: epsilon, epsilon: 0.1} or {method: softmax, temperature: 0.1}")
            return nil
        }
        var exploration = RerankingConfiguration.Exploration(drawn)
        if let protected { exploration.protected = protected }
        if let among { exploration.among = among }
        return exploration
    }
}
