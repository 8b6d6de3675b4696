import CWireMessages

extension ProtobufCBinaryData {
    @inline(__always)
    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: data, count: len) }
}

/// A repeated string of a decoded message, valid as long as the message.
package struct StringsView: RandomAccessCollection {
    private let base: UnsafeMutablePointer<ProtobufCBinaryData>?
    package let count: Int

    init(_ base: UnsafeMutablePointer<ProtobufCBinaryData>?, _ count: Int) {
        self.base = base
        self.count = base == nil ? 0 : count
    }

    package var startIndex: Int { 0 }
    package var endIndex: Int { count }

    /// The UTF-8 bytes of a string.
    package subscript(index: Int) -> UnsafeRawBufferPointer {
        precondition(index >= 0 && index < count, "string \(index) of \(count)")
        guard let base else { return UnsafeRawBufferPointer(start: nil, count: 0) }
        return base[index].bytes
    }

    /// Copies.
    package var strings: [String] { map { String(decoding: $0, as: UTF8.self) } }
}

/// The rules that fields share. Each names the field in its message.
enum FieldChecks {
    /// UTF-8 of 1 to 255 bytes.
    @inline(__always)
    static func id(_ bytes: UnsafeRawBufferPointer, _ field: StaticString) throws(RequestFault) {
        guard bytes.count >= 1, bytes.count <= RequestLimits.idBytesMax, UTF8Check.isValid(bytes) else {
            throw fault(bytes, field, index: nil, least: 1, most: RequestLimits.idBytesMax)
        }
    }

    /// UTF-8 of at most `most` bytes, perhaps none.
    @inline(__always)
    static func text(
        _ bytes: UnsafeRawBufferPointer, _ field: StaticString, most: Int = RequestLimits.idBytesMax
    ) throws(RequestFault) {
        guard bytes.count <= most, UTF8Check.isValid(bytes) else {
            throw fault(bytes, field, index: nil, least: 0, most: most)
        }
    }

    /// At most `most` IDs.
    static func ids(_ list: StringsView, _ field: StaticString, most: Int) throws(RequestFault) {
        guard list.count <= most else {
            throw RequestFault("\(field) has \(list.count) entries; at most \(most) are allowed")
        }
        for (index, bytes) in list.enumerated() {
            guard bytes.count >= 1, bytes.count <= RequestLimits.idBytesMax, UTF8Check.isValid(bytes) else {
                throw fault(bytes, field, index: index, least: 1, most: RequestLimits.idBytesMax)
            }
        }
    }

    @inline(__always)
    static func k(_ k: UInt32) throws(RequestFault) {
        guard k <= UInt32(RequestLimits.kMax) else {
            throw RequestFault("k is \(k); allowed: 0 (the default) to \(RequestLimits.kMax)")
        }
    }

    @inline(never)
    private static func fault(
        _ bytes: UnsafeRawBufferPointer, _ field: StaticString, index: Int?, least: Int, most: Int
    ) -> RequestFault {
        let name = index.map { "\(field)[\($0)]" } ?? "\(field)"
        if bytes.count < least {
            return RequestFault("\(name) is missing or empty; \(least) to \(most) bytes are allowed")
        }
        if bytes.count > most {
            return RequestFault("\(name) has \(bytes.count) bytes; at most \(most) are allowed")
        }
        return RequestFault("\(name) is not valid UTF-8")
    }
}

/// The filter of a request, valid as long as the request.
package struct AttributeFilterView {
    package let anyTag: StringsView
    package let allTags: StringsView
    package let noTag: StringsView
    package let conditions: AttributeConditionsView

    init(checking filter: Martlet__V1__AttributeFilter) throws(RequestFault) {
        anyTag = StringsView(filter.any_tag, filter.n_any_tag)
        allTags = StringsView(filter.all_tags, filter.n_all_tags)
        noTag = StringsView(filter.no_tag, filter.n_no_tag)
        try FieldChecks.ids(anyTag, "filter.any_tag", most: RequestLimits.tagsMax)
        try FieldChecks.ids(allTags, "filter.all_tags", most: RequestLimits.tagsMax)
        try FieldChecks.ids(noTag, "filter.no_tag", most: RequestLimits.tagsMax)
        conditions = try AttributeConditionsView(checking: filter.conditions, filter.n_conditions)
    }

    /// `nil` when there is no filter or it has no condition.
    static func checking(_ filter: UnsafeMutablePointer<Martlet__V1__AttributeFilter>?) throws(RequestFault) -> Self? {
        guard let filter else { return nil }
        let view = try AttributeFilterView(checking: filter.pointee)
        let isEmpty =
            view.anyTag.isEmpty && view.allTags.isEmpty && view.noTag.isEmpty && view.conditions.isEmpty
        return isEmpty ? nil : view
    }
}

/// The attribute conditions of a filter, valid as long as the request.
package struct AttributeConditionsView: RandomAccessCollection {
    private let base: UnsafeMutablePointer<UnsafeMutablePointer<Martlet__V1__AttributeCondition>?>?
    package let count: Int

    package struct Element {
        package let attribute: UnsafeRawBufferPointer
        package let anyOf: StringsView
        package let noneOf: StringsView
        package let min: Double?
        package let max: Double?
    }

    init(
        checking base: UnsafeMutablePointer<UnsafeMutablePointer<Martlet__V1__AttributeCondition>?>?, _ count: Int
    ) throws(RequestFault) {
        self.base = base
        self.count = base == nil ? 0 : count
        guard count <= RequestLimits.conditionsMax else {
            throw RequestFault(
                "filter.conditions has \(count) entries; at most \(RequestLimits.conditionsMax) are allowed")
        }
        for (place, condition) in enumerated() {
            try FieldChecks.id(condition.attribute, "filter.conditions.attribute")
            try FieldChecks.ids(
                condition.anyOf, "filter.conditions.any_of", most: RequestLimits.conditionValuesMax)
            try FieldChecks.ids(
                condition.noneOf, "filter.conditions.none_of", most: RequestLimits.conditionValuesMax)
            for (bound, name) in [(condition.min, "min"), (condition.max, "max")] where bound?.isNaN == true {
                throw RequestFault("filter.conditions[\(place)].\(name) is not a number")
            }
            if condition.anyOf.isEmpty, condition.noneOf.isEmpty, condition.min == nil, condition.max == nil {
                throw RequestFault(
                    "filter.conditions[\(place)] asks nothing of '\(String(decoding: condition.attribute, as: UTF8.self))'; "
                        + "give any_of, none_of, min or max")
            }
        }
    }

    package var startIndex: Int { 0 }
    package var endIndex: Int { count }

    package subscript(index: Int) -> Element {
        precondition(index >= 0 && index < count, "condition \(index) of \(count)")
        guard let condition = base?[index]?.pointee else {
            let nothing = StringsView(nil, 0)
            return Element(
                attribute: UnsafeRawBufferPointer(start: nil, count: 0), anyOf: nothing, noneOf: nothing, min: nil,
                max: nil)
        }
        let hasMin = condition.lower_case == MARTLET__V1__ATTRIBUTE_CONDITION__LOWER_MIN
        let hasMax = condition.upper_case == MARTLET__V1__ATTRIBUTE_CONDITION__UPPER_MAX
        return Element(
            attribute: condition.attribute.bytes, anyOf: StringsView(condition.any_of, condition.n_any_of),
            noneOf: StringsView(condition.none_of, condition.n_none_of), min: hasMin ? condition.min : nil,
            max: hasMax ? condition.max : nil)
    }
}

/// The context of a request, valid as long as the request.
package struct ContextView: RandomAccessCollection {
    private let base: UnsafeMutablePointer<UnsafeMutablePointer<Martlet__V1__ContextEntry>?>?
    package let count: Int

    init(
        checking base: UnsafeMutablePointer<UnsafeMutablePointer<Martlet__V1__ContextEntry>?>?, _ count: Int
    ) throws(RequestFault) {
        self.base = base
        self.count = base == nil ? 0 : count
        guard count <= RequestLimits.contextEntriesMax else {
            throw RequestFault("context has \(count) entries; at most \(RequestLimits.contextEntriesMax) are allowed")
        }
        for entry in self {
            try FieldChecks.id(entry.key, "context.key")
            try FieldChecks.text(entry.value, "context.value", most: RequestLimits.contextValueBytesMax)
        }
    }

    package var startIndex: Int { 0 }
    package var endIndex: Int { count }

    package subscript(index: Int) -> (key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer) {
        precondition(index >= 0 && index < count, "context entry \(index) of \(count)")
        guard let entry = base?[index]?.pointee else {
            return (UnsafeRawBufferPointer(start: nil, count: 0), UnsafeRawBufferPointer(start: nil, count: 0))
        }
        return (entry.key.bytes, entry.value.bytes)
    }
}

extension ProtobufCBinaryData {
    /// Copied; bytes that are not UTF-8 become U+FFFD.
    var text: String { len == 0 ? "" : String(decoding: bytes, as: UTF8.self) }
}
