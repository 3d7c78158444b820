import { type ColumnDefinitionNode, type DataTypeNode, PostgresDialect, PostgresQueryCompiler } from 'kysely';

/** PostgreSQL as Kysely knows it, with text that sorts as it does on SQLite. */
export class StoreDialect extends PostgresDialect {
  override createQueryCompiler(): PostgresQueryCompiler {
    return new ByteOrderCompiler();
  }
}

/**
 * Makes every text column compare byte by byte. The language of the database would put names, and the cursors in lists of
 * them, in another order on every server.
 */
class ByteOrderCompiler extends PostgresQueryCompiler {
  #isInColumn = false;

  protected override visitColumnDefinition(node: ColumnDefinitionNode): void {
    this.#isInColumn = true;
    super.visitColumnDefinition(node);
    this.#isInColumn = false;
  }

  protected override visitDataType(node: DataTypeNode): void {
    super.visitDataType(node);
    if (this.#isInColumn && /^(text$|(var)?char\b)/.test(node.dataType)) this.append(' collate "C"');
  }
}
