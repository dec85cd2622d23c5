export declare function findPebble(): string | null;
