import ArgumentParser

/// What can be wrong with the options that say where rows and queries come from.
enum DataSourceCheck {
    static func check(bundle: String?, rows: String?, queries: String?, isMade: Bool, namesFactors: Bool) throws {
        if bundle != nil, rows != nil || isMade {
            throw ValidationError("--bundle, --rows and --shape exclude each other")
        }
        if rows != nil, isMade { throw ValidationError("--rows and --shape exclude each other") }
        if (rows == nil) != (queries == nil) {
            throw ValidationError(rows == nil ? "--queries needs --rows" : "--rows needs --queries")
        }
        if namesFactors, bundle == nil { throw ValidationError("--factors has no effect without --bundle") }
    }
}
