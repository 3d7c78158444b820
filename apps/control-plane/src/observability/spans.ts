/** What a span says besides its times: ids, and names that we made. Never instructions, parameters, output, or a name of a person. */
export type SpanFacts = Readonly<Record<string, string | number>>;

/** A span to begin. */
export interface NewSpan {
  readonly name: string;
  readonly kind: 'server' | 'internal';
  readonly startMs: number;
  /** W3C trace context of the span above it; undefined for the first of a trace. */
  readonly parent: string | undefined;
  readonly facts: SpanFacts;
}

/** A span that has begun. */
export interface OpenSpan {
  /** W3C trace context for what happens below it. */
  readonly traceparent: string;
  end(endMs: number, outcome: { readonly isFailure: boolean; readonly facts: SpanFacts }): void;
}

/** Makes spans and sends them to a collector. Sending never holds anybody up, and its failures hurt nobody. */
export interface SpanMaker extends AsyncDisposable {
  start(span: NewSpan): OpenSpan;
}
