import CWireMessages
import Vocabulary

/// The changes of items that a decoded request asks for. What is wrong with a single one costs that one only: `fault`.
package struct ItemChangeElements {
    package struct Element {
        /// Copied; texts that are not UTF-8 are mended.
        package let change: ItemChange
        /// What is wrong with it; nil: nothing.
        package let fault: String?
    }

    package let tenant: UnsafeRawBufferPointer
    package let elements: [Element]

    /// - Throws: `RequestFault` when the body cannot be decoded, or holds no item or too many.
    package init(upserts body: UnsafeRawBufferPointer, arena: DecodeArena) throws(RequestFault) {
        guard let decoded = arena.unpack(martlet__v1__upsert_items_request__unpack, body) else {
            throw RequestFault("the body is not an UpsertItemsRequest")
        }
        let message = decoded.pointee
        tenant = message.tenant.bytes
        let count = message.items == nil ? 0 : message.n_items
        try Self.check(tenant, count)
        elements = (0..<count).compactMap { index in
            message.items?[index].map { Element(upsert: $0.pointee) }
        }
    }

    /// - Throws: As of upserts.
    package init(deletions body: UnsafeRawBufferPointer, arena: DecodeArena) throws(RequestFault) {
        guard let decoded = arena.unpack(martlet__v1__delete_items_request__unpack, body) else {
            throw RequestFault("the body is not a DeleteItemsRequest")
        }
        let message = decoded.pointee
        tenant = message.tenant.bytes
        let items = StringsView(message.items, message.n_items)
        try Self.check(tenant, items.count)
        let restores = message.restore != 0
        elements = items.map { item in
            let text = String(decoding: item, as: UTF8.self)
            return Element(
                change: restores ? .restore(text) : .delete(text),
                fault: Self.fault { () throws(RequestFault) in try FieldChecks.id(item, "item") })
        }
    }

    /// - Throws: As of upserts.
    package init(windows body: UnsafeRawBufferPointer, arena: DecodeArena) throws(RequestFault) {
        guard let decoded = arena.unpack(martlet__v1__set_availability_request__unpack, body) else {
            throw RequestFault("the body is not a SetAvailabilityRequest")
        }
        let message = decoded.pointee
        tenant = message.tenant.bytes
        let count = message.items == nil ? 0 : message.n_items
        try Self.check(tenant, count)
        elements = (0..<count).compactMap { index in
            message.items?[index].map { Element(window: $0.pointee) }
        }
    }

    private static func check(_ tenant: UnsafeRawBufferPointer, _ count: Int) throws(RequestFault) {
        try FieldChecks.text(tenant, "tenant")
        guard count >= 1, count <= RequestLimits.changedItemsMax else {
            throw RequestFault("items has \(count) entries; 1 to \(RequestLimits.changedItemsMax) are allowed")
        }
    }

    fileprivate static func fault(_ body: () throws(RequestFault) -> Void) -> String? {
        do throws(RequestFault) { try body() } catch { return error.message }
        return nil
    }

    fileprivate static func checkWindow(_ from: Int64?, _ until: Int64?) throws(RequestFault) {
        if let from, let until, from >= until {
            throw RequestFault("from_seconds \(from) is not before until_seconds \(until)")
        }
    }
}

extension ItemChangeElements.Element {
    fileprivate init(upsert item: Martlet__V1__ItemDescription) {
        let tags = StringsView(item.tags, item.n_tags)
        let values = (0..<(item.attributes == nil ? 0 : item.n_attributes)).compactMap {
            item.attributes?[$0]?.pointee
        }
        let vector = UnsafeBufferPointer(start: item.vector, count: item.vector == nil ? 0 : item.n_vector)
        var description = ItemDescription(item: item.item.text, title: item.title.text)
        if item.opens_case == MARTLET__V1__ITEM_DESCRIPTION__OPENS_FROM_SECONDS {
            description.fromSeconds = item.from_seconds
        }
        if item.closes_case == MARTLET__V1__ITEM_DESCRIPTION__CLOSES_UNTIL_SECONDS {
            description.untilSeconds = item.until_seconds
        }
        let fault = ItemChangeElements.fault { () throws(RequestFault) in
            try FieldChecks.id(item.item.bytes, "item")
            try FieldChecks.text(item.title.bytes, "title", most: RequestLimits.titleBytesMax)
            try FieldChecks.ids(tags, "tags", most: RequestLimits.itemTextsMax)
            guard values.count <= RequestLimits.itemAttributesMax else {
                throw RequestFault(
                    "attributes has \(values.count) entries; at most \(RequestLimits.itemAttributesMax) are allowed")
            }
            for value in values { try Self.check(value) }
            guard vector.count <= RequestLimits.vectorMax else {
                throw RequestFault(
                    "vector has \(vector.count) numbers; at most \(RequestLimits.vectorMax) are allowed")
            }
            guard vector.allSatisfy(\.isFinite) else {
                throw RequestFault("vector holds a number that is not finite")
            }
            try ItemChangeElements.checkWindow(description.fromSeconds, description.untilSeconds)
        }
        description.tags = tags.strings
        description.vector = Array(vector)
        description.attributes = values.map { value in
            ItemAttributeValue(
                value.attribute.text, texts: StringsView(value.texts, value.n_texts).strings,
                number: value.amount_case == MARTLET__V1__ITEM_ATTRIBUTE_VALUE__AMOUNT_NUMBER ? value.number : nil)
        }
        let names = Set(description.attributes.map(\.attribute))
        self.init(
            change: .upsert(description),
            fault: fault ?? (names.count < values.count ? "attributes names an attribute twice" : nil))
    }

    private static func check(_ value: Martlet__V1__ItemAttributeValue) throws(RequestFault) {
        try FieldChecks.id(value.attribute.bytes, "attributes.attribute")
        try FieldChecks.ids(
            StringsView(value.texts, value.n_texts), "attributes.texts", most: RequestLimits.itemTextsMax)
        if value.amount_case == MARTLET__V1__ITEM_ATTRIBUTE_VALUE__AMOUNT_NUMBER, !value.number.isFinite {
            throw RequestFault("attributes.number is \(value.number); a finite number is allowed")
        }
    }

    fileprivate init(window item: Martlet__V1__ItemWindow) {
        var window = ItemWindow(item: item.item.text, isHidden: item.hidden != 0)
        if item.opens_case == MARTLET__V1__ITEM_WINDOW__OPENS_FROM_SECONDS { window.fromSeconds = item.from_seconds }
        if item.closes_case == MARTLET__V1__ITEM_WINDOW__CLOSES_UNTIL_SECONDS {
            window.untilSeconds = item.until_seconds
        }
        let (from, until) = (window.fromSeconds, window.untilSeconds)
        self.init(
            change: .window(window),
            fault: ItemChangeElements.fault { () throws(RequestFault) in
                try FieldChecks.id(item.item.bytes, "item")
                try ItemChangeElements.checkWindow(from, until)
            })
    }
}
