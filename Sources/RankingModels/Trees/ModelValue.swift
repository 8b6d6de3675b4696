import Artifacts

/// A value of a JSON or UBJSON document, with lists of numbers kept flat: models are nearly nothing else.
enum ModelValue: Sendable {
    case null
    case bool(Bool)
    case number(Double)
    case string(String)
    case numbers([Double])
    case array([ModelValue])
    case object([String: ModelValue])

    /// A list that grows; numbers stay flat as long as there is nothing else.
    struct List {
        private var numbers: [Double] = []
        private var others: [ModelValue]?

        var value: ModelValue { others.map(ModelValue.array) ?? .numbers(numbers) }

        mutating func append(_ value: ModelValue) {
            if others == nil {
                switch value {
                case .number(let number): return numbers.append(number)
                case .bool(let flag): return numbers.append(flag ? 1 : 0)
                default:
                    others = numbers.map(ModelValue.number)
                    numbers = []
                }
            }
            others?.append(value)
        }
    }

    init(_ json: JSONValue) {
        switch json {
        case .null: self = .null
        case .bool(let flag): self = .bool(flag)
        case .int(let number): self = .number(Double(number))
        case .double(let number): self = .number(number)
        case .string(let text): self = .string(text)
        case .array(let elements):
            var list = List()
            for element in elements { list.append(ModelValue(element)) }
            self = list.value
        case .object(let members): self = .object(members.mapValues(ModelValue.init))
        }
    }
}

/// A value and where it stands, for errors that say so.
struct ModelField {
    let value: ModelValue?
    let path: String
    /// `learner.objective.name`
    let place: String

    func fail(_ fault: String) -> ArtifactError {
        ArtifactError(.malformed, path: path, "\(place.isEmpty ? "the document" : place): \(fault)")
    }

    subscript(name: String) -> ModelField {
        var member: ModelValue?
        if case .object(let members)? = value { member = members[name] }
        return ModelField(value: member, path: path, place: place.isEmpty ? name : "\(place).\(name)")
    }

    var isThere: Bool { value != nil }

    func text() throws(ArtifactError) -> String {
        guard case .string(let text)? = value else { throw missing("a text") }
        return text
    }

    /// The elements of a list of objects.
    func elements() throws(ArtifactError) -> [ModelField] {
        switch value {
        case .array(let elements)?:
            return elements.enumerated().map { ModelField(value: $1, path: path, place: "\(place)[\($0)]") }
        case .numbers(let numbers)? where numbers.isEmpty: return []
        default: throw missing("a list")
        }
    }

    /// Texts; also where the list is empty.
    func texts() throws(ArtifactError) -> [String] {
        var texts: [String] = []
        for element in try elements() { texts.append(try element.text()) }
        return texts
    }

    func numbers() throws(ArtifactError) -> [Double] {
        guard case .numbers(let numbers)? = value else { throw missing("a list of numbers") }
        return numbers
    }

    func numbers(count: Int) throws(ArtifactError) -> [Double] {
        let numbers = try numbers()
        guard numbers.count == count else { throw fail("\(numbers.count) values; \(count) are needed") }
        return numbers
    }

    /// Whole numbers, each in `range`.
    func integers(count: Int? = nil, _ range: ClosedRange<Int>) throws(ArtifactError) -> [Int] {
        let numbers = try numbers()
        if let count, numbers.count != count { throw fail("\(numbers.count) values; \(count) are needed") }
        var integers: [Int] = []
        integers.reserveCapacity(numbers.count)
        for number in numbers {
            guard let integer = Int(exactly: number), range.contains(integer) else {
                throw fail(
                    "\(number) at place \(integers.count) is out of range; allowed: \(range.lowerBound) to "
                        + "\(range.upperBound)")
            }
            integers.append(integer)
        }
        return integers
    }

    /// A whole number, which XGBoost writes as a text.
    func integer(_ range: ClosedRange<Int>) throws(ArtifactError) -> Int {
        let number: Int? =
            switch value {
            case .string(let text)?: Int(text)
            case .number(let number)?: Int(exactly: number)
            default: nil
            }
        guard let number else { throw missing("a whole number") }
        guard range.contains(number) else {
            throw fail("\(number) is out of range; allowed: \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    private func missing(_ what: String) -> ArtifactError {
        fail(value == nil ? "it is missing; \(what) is needed" : "it is not \(what)")
    }
}
