"""Parts of the API that know no noun: middleware, errors, limits, transactions, types of fields."""
